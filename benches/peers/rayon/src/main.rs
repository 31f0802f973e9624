//! E. rayon: the same million squares in place, by two threads that share all memory.
use rayon::prelude::*;
use std::time::Instant;

const ITEMS: usize = 1_000_000;
const RUNS: usize = 9;

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(2).build_global().unwrap();
    let items: Vec<f64> = (0..ITEMS).map(|i| i as f64).collect();
    let mut squares = vec![0.0; ITEMS];
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| {
            squares.fill(0.0);
            let begin = Instant::now();
            squares.par_iter_mut().zip(items.par_iter()).for_each(|(square, item)| *square = item * item);
            let rate = ITEMS as f64 / begin.elapsed().as_secs_f64();
            assert!(squares.iter().zip(&items).all(|(square, item)| *square == item * item));
            rate
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("rayon E.pool_map_range {} tasks/s", rates[RUNS / 2]);
}

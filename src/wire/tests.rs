use super::*;

/// xorshift64*: deterministic, so a failure names its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 32) as usize % limit
    }
}

const POOL: [u8; 200] = [0xa5; 200];

fn random_argument(random: &mut Random, depth: usize) -> Argument<'static> {
    match random.below(if depth < 5 { 10 } else { 8 }) {
        0 => Argument::Bytes(&POOL[..random.below(200)]),
        1 => Argument::Handle(random.next()),
        2 => Argument::Descriptor(random.next() as i32),
        3 => Argument::Nil,
        4 => Argument::Bool(random.below(2) == 1),
        5 => Argument::Integer(random.next() as i64),
        6 => Argument::Real(random.below(1000) as f64 / 7.0),
        7 => Argument::String(&POOL[..random.below(40)]),
        8 => Argument::List((0..random.below(5)).map(|_| random_argument(random, depth + 1)).collect()),
        _ => Argument::Map(
            (0..random.below(4))
                .map(|_| (random_argument(random, depth + 1), random_argument(random, depth + 1)))
                .collect(),
        ),
    }
}

fn random_arguments(seed: u64) -> Vec<Argument<'static>> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..random.below(6)).map(|_| random_argument(&mut random, 0)).collect()
}

fn encoded(arguments: &[Argument<'_>]) -> Vec<u8> {
    // Dirty memory, as recycled blocks are.
    let mut out = vec![0xee; encoded_len(arguments).unwrap()];
    assert_eq!(encode(arguments, &mut out).unwrap(), out.len());
    out
}

fn collect_handles(argument: &Argument<'_>, handles: &mut Vec<u64>) {
    match argument {
        Argument::Handle(reference) => handles.push(*reference),
        Argument::List(items) => items.iter().for_each(|item| collect_handles(item, handles)),
        Argument::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            collect_handles(key, handles);
            collect_handles(value, handles);
        }),
        _ => {}
    }
}

/// Reads all there is; every borrowed byte must lie inside of `bytes`.
fn read_all(bytes: &[u8]) -> Result<Vec<Argument<'_>>> {
    let inside = bytes.as_ptr_range();
    fn check(argument: &Argument<'_>, inside: &std::ops::Range<*const u8>) {
        match argument {
            Argument::Bytes(bytes) | Argument::String(bytes) => {
                let range = bytes.as_ptr_range();
                assert!(range.start >= inside.start && range.end <= inside.end);
            }
            Argument::List(items) => items.iter().for_each(|item| check(item, inside)),
            Argument::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                check(key, inside);
                check(value, inside);
            }),
            _ => {}
        }
    }
    let reader = Reader::new(bytes)?;
    let handles = reader.handles().try_fold(0, |count, handle| handle.map(|_| count + 1));
    let arguments: Result<Vec<_>> = (0..reader.count()).map(|index| reader.argument(index)).collect();
    handles?;
    let arguments = arguments?;
    arguments.iter().for_each(|argument| check(argument, &inside));
    Ok(arguments)
}

#[test]
fn random_trees_round_trip() {
    for seed in 0..3000 {
        let arguments = random_arguments(seed);
        let bytes = encoded(&arguments);
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        assert_eq!(count(&bytes).unwrap(), arguments.len());
        assert_eq!(read_all(&bytes).unwrap(), arguments, "seed {seed}");
        let mut expected = Vec::new();
        arguments.iter().for_each(|argument| collect_handles(argument, &mut expected));
        let found: Vec<u64> = handles(&bytes).unwrap().map(|handle| handle.unwrap()).collect();
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    for seed in 0..100 {
        let arguments = random_arguments(seed);
        let mut other = vec![0; encoded_len(&arguments).unwrap()];
        encode(&arguments, &mut other).unwrap();
        assert_eq!(encoded(&arguments), other, "seed {seed}");
    }
}

#[test]
fn flipped_and_cut_bytes_never_panic() {
    let mut random = Random(7);
    let mut refused = 0;
    for seed in 0..1500 {
        let good = encoded(&random_arguments(seed));
        for _ in 0..20 {
            let mut bytes = good.clone();
            for _ in 0..1 + random.below(4) {
                // Mostly small values: those make offsets and counts that look right.
                let at = random.below(bytes.len());
                bytes[at] = if random.below(2) == 0 { random.next() as u8 } else { (random.below(16) * 16) as u8 };
            }
            refused += read_all(&bytes).is_err() as u32;
            bytes.truncate(random.below(bytes.len() + 1));
            refused += read_all(&bytes).is_err() as u32;
        }
        for len in 0..good.len() {
            assert!(read_all(&good[..len]).is_err(), "seed {seed} cut to {len}");
        }
    }
    assert!(refused > 1000, "the damage does not reach what is read");
}

#[test]
fn random_bytes_behind_a_good_header_never_panic() {
    let mut random = Random(11);
    for _ in 0..20_000 {
        let mut bytes = vec![0u8; HEADER + ENTRY * (1 + random.below(20))];
        let length = bytes.len() as u64;
        for entry in bytes[HEADER..].chunks_exact_mut(ENTRY) {
            entry[0] = 7 + random.below(3) as u8;
            entry[8] = random.below(8) as u8;
            entry[VALUE..VALUE + 2].copy_from_slice(&((random.below(40) * 16) as u16).to_le_bytes());
        }
        bytes[..2].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[2..5].copy_from_slice(&[VERSION, HAS_HANDLES, 1 + random.below(3) as u8]);
        bytes[8..16].copy_from_slice(&length.to_le_bytes());
        let _ = read_all(&bytes);
    }
}

#[test]
fn payloads_are_aligned_to_16() {
    let text = [1u8; 33];
    let arguments =
        [Argument::Bytes(&text[..3]), Argument::String(&text), Argument::List(vec![Argument::Bytes(&text[..17])])];
    let bytes = encoded(&arguments);
    let offset = |payload: &[u8]| payload.as_ptr() as usize - bytes.as_ptr() as usize;
    let read = read_all(&bytes).unwrap();
    let (Argument::Bytes(first), Argument::String(second), Argument::List(items)) = (&read[0], &read[1], &read[2])
    else {
        panic!("other kinds came back");
    };
    let Argument::Bytes(third) = items[0] else { panic!("another kind came back") };
    for payload in [*first, *second, third] {
        assert_eq!(offset(payload) % ALIGNMENT, 0);
    }
}

#[test]
fn one_number_is_one_cache_line() {
    assert_eq!(encoded_len(&[Argument::Bytes(&1f64.to_le_bytes())]).unwrap(), 48);
    assert_eq!(encoded_len(&[]).unwrap(), HEADER);
}

fn nested(depth: usize) -> Argument<'static> {
    (0..depth).fold(Argument::Nil, |inner, _| Argument::List(vec![inner]))
}

#[test]
fn depth_is_limited_on_both_sides() {
    let deepest = [nested(MAX_DEPTH)];
    let bytes = encoded(&deepest);
    assert_eq!(read_all(&bytes).unwrap(), deepest);
    let too_deep = [nested(MAX_DEPTH + 1)];
    assert!(matches!(encoded_len(&too_deep), Err(Error::Invalid(_))));
    assert!(matches!(encode(&too_deep, &mut vec![0; 1 << 16]), Err(Error::Invalid(_))));
}

#[test]
fn a_small_buffer_says_what_is_needed() {
    let arguments = [Argument::String(&POOL), Argument::Nil];
    let needed = encoded_len(&arguments).unwrap();
    for capacity in [0, 15, 48, needed - 1] {
        let error = encode(&arguments, &mut vec![0; capacity]).unwrap_err();
        assert_eq!(error, Error::MessageSize { needed, capacity });
    }
}

/// An encoding of lists whose entries are all patched to name `offset` with `len` items.
fn forged(lists: usize, len: u64, offset: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut bytes = encoded(&vec![Argument::List(vec![]); lists]);
    for index in 0..lists {
        let at = HEADER + index * ENTRY;
        bytes[at + 8..at + 16].copy_from_slice(&len.to_le_bytes());
        bytes[at + 16..at + 24].copy_from_slice(&(offset(index) as u64).to_le_bytes());
    }
    bytes[3] = HAS_HANDLES;
    bytes
}

#[test]
fn cycles_and_bombs_are_refused() {
    // A list that contains itself.
    assert!(read_all(&forged(1, 1, |_| HEADER)).is_err());
    // Every list contains all lists behind it, twice: 2^n nodes if nobody counted.
    let mut bomb = forged(40, 2, |index| HEADER + (index + 1) * ENTRY);
    bomb[4..8].copy_from_slice(&1u32.to_le_bytes());
    assert!(read_all(&bomb).is_err());
    // Lengths that overflow when multiplied.
    for len in [u64::MAX, u64::MAX / 32 + 1, 1 << 59, 1 << 40] {
        assert!(read_all(&forged(2, len, |_| HEADER + 2 * ENTRY)).is_err());
    }
    // Offsets that overflow when added to.
    assert!(read_all(&forged(2, 1, |_| usize::MAX - 15)).is_err());
}

#[test]
fn a_handle_cannot_hide_from_the_flag() {
    let mut bytes = encoded(&[Argument::Handle(9)]);
    bytes[3] = 0;
    assert!(argument(&bytes, 0).is_err());
    assert_eq!(handles(&bytes).unwrap().count(), 0);
}

#[test]
fn an_index_behind_the_end_is_not_found() {
    let bytes = encoded(&[Argument::Nil]);
    assert!(matches!(argument(&bytes, 1), Err(Error::Invalid(_))));
    assert!(matches!(argument(&bytes, usize::MAX), Err(Error::Invalid(_))));
}

#[test]
fn an_error_ends_the_iteration() {
    let mut bytes = encoded(&[Argument::Nil, Argument::Handle(1), Argument::Handle(2)]);
    bytes[HEADER + ENTRY + 4] = 1;
    let found: Vec<_> = handles(&bytes).unwrap().collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].is_err());
}

#[test]
fn a_nan_keeps_its_bits() {
    let odd = f64::from_bits(0x7ff8_0000_dead_beef);
    let bytes = encoded(&[Argument::Real(odd)]);
    let Argument::Real(back) = argument(&bytes, 0).unwrap() else { panic!("another kind came back") };
    assert_eq!(back.to_bits(), odd.to_bits());
}

#[test]
fn descriptors_are_found() {
    let bytes = encoded(&[Argument::Descriptor(5), Argument::List(vec![Argument::Descriptor(-1)])]);
    let reader = Reader::new(&bytes).unwrap();
    assert!(reader.has_descriptors() && !reader.has_handles());
    let found: Vec<i32> = reader.descriptors().map(|number| number.unwrap() as i32).collect();
    assert_eq!(found, [5, -1]);
}

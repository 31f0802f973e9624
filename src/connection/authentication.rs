//! Proof that both sides have the key, as CPython 3.12 and later do it: each sends a challenge, the other answers with
//! its HMAC-SHA256 under the key. What is sent and received is for others to do.
//!
//! ```text
//! listener  #CHALLENGE# {sha256} 40 bytes      client
//!           {sha256} HMAC(key, all behind #CHALLENGE#)
//!           #WELCOME#, or #FAILURE# and the end
//! ```
//! and then the same with the roles exchanged. A listener answers nobody who has not proved himself.
//!
//! A client answers first. To have its own answers without the key, a false listener could hand a challenge of one
//! client to another, or to the same that connects again. So ours say, under the key, which side they come from
//! ([`mark`]), and a client answers none that another client made. CPython takes the bytes for random ones.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::sys::socket;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;

/// No message of a handshake is longer, nor is any that is read before the end of one.
pub const LONGEST: usize = 256;

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";
const DIGEST: &[u8] = b"{sha256}";
/// Before 3.12 a challenge was of so many bytes, without the name of a digest: it means MD5.
const OLD_CHALLENGE: usize = 20;
/// The answer to that, and what older clients answer to all.
const OLD_ANSWER: usize = 16;

const RANDOM: usize = 24;
const MARK: usize = 16;

/// Which side this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Challenges first.
    Listener,
    /// Is challenged first.
    Client,
}

/// What is received next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The other's challenge.
    Challenge,
    /// Whether our answer was good.
    Verdict,
    /// The answer to our challenge.
    Answer,
}

/// A handshake, as one side has it.
pub struct Handshake {
    key: Arc<[u8]>,
    role: Role,
    stage: Stage,
    /// What the other side has to answer to.
    challenge: Vec<u8>,
}

/// What a message leads to.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// To be sent, whatever the outcome.
    pub reply: Option<Vec<u8>>,
    /// Whether both sides have proved themselves; `Err`: it has failed.
    pub done: Result<bool>,
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key of any length will do, so there is no error to hand on.
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of every length"),
    };
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// What tells a challenge of ours from any other, and of which side it is.
fn mark(key: &[u8], role: Role, random: &[u8]) -> Hmac<Sha256> {
    let side: &[u8] = if role == Role::Client { b"client" } else { b"listener" };
    // No answer to a challenge is an HMAC of this: those begin with the name of the digest.
    hmac(key, &[b"carom challenge of a ", side, b": ", random])
}

fn make_challenge(key: &[u8], role: Role) -> Result<Vec<u8>> {
    let random = socket::random::<RANDOM>()?;
    let mark = mark(key, role, &random).finalize().into_bytes();
    Ok([DIGEST, &random, &mark[..MARK]].concat())
}

const DENIED: Error = Error::Denied("the other side has another key");

impl Handshake {
    /// Begins; what is to be sent first, if this side begins.
    pub fn begin(key: Arc<[u8]>, role: Role) -> Result<(Handshake, Option<Vec<u8>>)> {
        let challenge = make_challenge(&key, role)?;
        let first = (role == Role::Listener).then(|| [CHALLENGE, &challenge].concat());
        let stage = if role == Role::Listener { Stage::Answer } else { Stage::Challenge };
        Ok((Handshake { key, role, stage, challenge }, first))
    }

    /// The next message of the other side.
    pub fn advance(&mut self, message: &[u8]) -> Step {
        match self.stage {
            Stage::Challenge => match self.answer(message) {
                Ok(answer) => {
                    self.stage = Stage::Verdict;
                    Step { reply: Some(answer), done: Ok(false) }
                }
                Err(error) => Step { reply: None, done: Err(error) },
            },
            Stage::Verdict if message != WELCOME => Step { reply: None, done: Err(DENIED) },
            Stage::Verdict if self.role == Role::Listener => Step { reply: None, done: Ok(true) },
            Stage::Verdict => {
                self.stage = Stage::Answer;
                Step { reply: Some([CHALLENGE, &self.challenge].concat()), done: Ok(false) }
            }
            Stage::Answer => match self.verify(message) {
                Ok(()) => {
                    self.stage = Stage::Challenge;
                    Step { reply: Some(WELCOME.to_vec()), done: Ok(self.role == Role::Client) }
                }
                Err(error) => Step { reply: Some(FAILURE.to_vec()), done: Err(error) },
            },
        }
    }

    fn answer(&self, message: &[u8]) -> Result<Vec<u8>> {
        let wrong = Error::Denied("the other side does not ask for a key, or not as multiprocessing does");
        let challenge = message.strip_prefix(CHALLENGE).ok_or(wrong)?;
        if challenge.len() == OLD_CHALLENGE {
            return Err(Error::Denied("the other side wants HMAC-MD5, as CPython before 3.12"));
        }
        let wrong = Error::Denied("the other side wants another digest than SHA-256, or a challenge is too short");
        let payload = challenge.strip_prefix(DIGEST).filter(|payload| payload.len() > OLD_CHALLENGE).ok_or(wrong)?;
        if payload.len() == RANDOM + MARK {
            let (random, its_mark) = payload.split_at(RANDOM);
            if mark(&self.key, self.role, random).verify_truncated_left(its_mark).is_ok() {
                return Err(Error::Denied("the other side returns a challenge of our own side"));
            }
        }
        let answer = hmac(&self.key, &[challenge]).finalize().into_bytes();
        Ok([DIGEST, &answer].concat())
    }

    fn verify(&self, message: &[u8]) -> Result<()> {
        if message.len() == OLD_ANSWER {
            return Err(Error::Denied("the other side answers with HMAC-MD5, as CPython before 3.12"));
        }
        let answer = message.strip_prefix(DIGEST).ok_or(DENIED)?;
        // Takes as long whichever byte is wrong.
        hmac(&self.key, &[&self.challenge]).verify_slice(answer).map_err(|_| DENIED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(key: &[u8], role: Role) -> (Handshake, Option<Vec<u8>>) {
        Handshake::begin(key.into(), role).unwrap()
    }

    /// Lets the two talk; how it ends for the listener and the client.
    fn talk(listener: &[u8], client: &[u8]) -> (Result<bool>, Result<bool>) {
        let (mut one, first) = begin(listener, Role::Listener);
        let (mut two, none) = begin(client, Role::Client);
        assert!(none.is_none());
        let (mut outcomes, mut message, mut to_client) = ((Ok(false), Ok(false)), first, true);
        while let Some(text) = message {
            assert!(text.len() <= LONGEST);
            let step = if to_client { two.advance(&text) } else { one.advance(&text) };
            *(if to_client { &mut outcomes.1 } else { &mut outcomes.0 }) = step.done;
            (message, to_client) = (step.reply, !to_client);
        }
        outcomes
    }

    #[test]
    fn who_has_the_key_comes_in() {
        assert_eq!(talk(b"secret", b"secret"), (Ok(true), Ok(true)));
        assert_eq!(talk(&[7; 1000], &[7; 1000]), (Ok(true), Ok(true)));
        let (listener, client) = talk(b"secret", b"Secret");
        assert!(matches!((listener, client), (Err(Error::Denied(_)), Err(Error::Denied(_)))));
    }

    #[test]
    fn a_vector_of_cpython() {
        let (client, _) = begin(b"key", Role::Client);
        let message = [CHALLENGE, DIGEST, &[b'x'; 40]].concat();
        let answer = client.answer(&message).unwrap();
        // python3.12 -c 'import multiprocessing.connection as c; print(c._create_response(b"key", b"{sha256}" + b"x"*40).hex())'
        let hex: String = answer.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "7b7368613235367dfc6e095716948559f532f6b59bd051557239f32978aa33681f9fb3c610cb3af3");
    }

    #[test]
    fn a_challenge_of_the_own_side_is_not_answered() {
        let (client, _) = begin(b"key", Role::Client);
        let (other, _) = begin(b"key", Role::Client);
        let reflected = [CHALLENGE, &other.challenge].concat();
        assert!(matches!(client.answer(&reflected), Err(Error::Denied(_))));
        let (listener, _) = begin(b"key", Role::Listener);
        assert!(listener.answer(&reflected).is_ok());
    }

    #[test]
    fn who_has_no_key_gets_no_answer() {
        let (mut listener, _) = begin(b"key", Role::Listener);
        let (other, _) = begin(b"key", Role::Client);
        let step = listener.advance(&[CHALLENGE, &other.challenge].concat());
        assert_eq!(step.reply, Some(FAILURE.to_vec()));
        assert!(step.done.is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        let long = vec![b'x'; LONGEST];
        let old = [CHALLENGE, &[1; OLD_CHALLENGE]].concat();
        let short = [CHALLENGE, DIGEST, &[1; OLD_CHALLENGE]].concat();
        let other = [CHALLENGE, b"{md5}", &[1; 40]].concat();
        for message in [b"".as_slice(), CHALLENGE, WELCOME, FAILURE, &long, &old, &short, &other, &[0; OLD_ANSWER]] {
            for role in [Role::Listener, Role::Client] {
                assert!(begin(b"key", role).0.advance(message).done.is_err());
            }
        }
    }
}

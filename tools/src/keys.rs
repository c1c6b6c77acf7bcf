//! `oidc-filter keys new`: a session secret, or a key for `client_jwk`.
//!
//! Random numbers come from the operating system. The keys are used by the filter, which holds the same
//! libraries; the arithmetic of a new RSA key is done once, on the operator's machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Subcommand, ValueEnum};
use getrandom::SysRng;
use p256::elliptic_curve::Generate as _;
use rsa::BoxedUint;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What to make.
#[derive(Subcommand)]
pub enum New {
    /// 32 random bytes for `session_secret`, in base64url.
    SessionSecret,
    /// A private key for `client_jwk`, as a JWK (RFC 7517).
    ///
    /// Its `kid` is its thumbprint (RFC 7638). The provider gets the public half only.
    ClientJwk {
        /// What the key signs with (`client_alg`).
        #[arg(long, value_enum, default_value = "ES256")]
        alg: Alg,
        /// Write the public half into this file, as a JWK Set: what the provider gets.
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
}

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names are those of the RFC")]
#[value(rename_all = "verbatim")]
pub enum Alg {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// RFC 7518 section 3.3 asks for 2048 bits or more.
const RSA_BITS: usize = 2048;

/// A key pair as JWKs: the public members, and the private ones beside them.
struct Pair {
    public: BTreeMap<&'static str, String>,
    private: BTreeMap<&'static str, String>,
}

/// Makes it, and prints it.
pub fn run(what: &New) -> ExitCode {
    match make(what) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn make(what: &New) -> Result<String, String> {
    match what {
        New::SessionSecret => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(no_random)?;
            Ok(encode(&secret))
        }
        New::ClientJwk { alg, public } => {
            let pair = pair(*alg)?;
            if let Some(file) = public {
                let set = json!({ "keys": [pair.jwk(*alg, false)] });
                fs::write(file, format!("{set:#}\n"))
                    .map_err(|why| format!("{}: cannot be written: {why}", file.display()))?;
            }
            Ok(format!("{:#}", pair.jwk(*alg, true)))
        }
    }
}

impl Pair {
    fn jwk(&self, alg: Alg, private: bool) -> Value {
        let mut jwk = json!({ "alg": format!("{alg:?}"), "use": "sig", "kid": self.thumbprint() });
        let secret = private.then_some(&self.private).into_iter().flatten();
        for (name, value) in self.public.iter().chain(secret) {
            jwk[name] = json!(value);
        }
        jwk
    }

    /// RFC 7638 section 3: the required members in the order of their names, without white space.
    fn thumbprint(&self) -> String {
        let members: Vec<String> = self
            .public
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        encode(&Sha256::digest(format!("{{{}}}", members.join(","))))
    }
}

fn pair(alg: Alg) -> Result<Pair, String> {
    match alg {
        Alg::RS256 | Alg::RS384 | Alg::RS512 | Alg::PS256 | Alg::PS384 | Alg::PS512 => rsa(),
        Alg::ES256 => {
            let key = p256::SecretKey::try_generate_from_rng(&mut SysRng).map_err(no_random)?;
            ec("P-256", &key.to_bytes(), &key.public_key().to_sec1_bytes())
        }
        Alg::ES384 => {
            let key = p384::SecretKey::try_generate_from_rng(&mut SysRng).map_err(no_random)?;
            ec("P-384", &key.to_bytes(), &key.public_key().to_sec1_bytes())
        }
        Alg::ES512 => {
            let key = p521::SecretKey::try_generate_from_rng(&mut SysRng).map_err(no_random)?;
            ec("P-521", &key.to_bytes(), &key.public_key().to_sec1_bytes())
        }
        Alg::EdDSA => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(no_random)?;
            let key = ed25519_dalek::SigningKey::from_bytes(&seed);
            Ok(Pair {
                public: BTreeMap::from([
                    ("kty", "OKP".to_owned()),
                    ("crv", "Ed25519".to_owned()),
                    ("x", encode(key.verifying_key().as_bytes())),
                ]),
                private: BTreeMap::from([("d", encode(&seed))]),
            })
        }
    }
}

/// RFC 7518 section 6.2: coordinates and private value in the curve's full length. `point` is 4, x, y
/// (SEC 1 section 2.3.3).
fn ec(curve: &str, private: &[u8], point: &[u8]) -> Result<Pair, String> {
    let coordinates = point.strip_prefix(&[4]).and_then(|both| {
        let (x, y) = both.split_at_checked(private.len())?;
        (y.len() == private.len()).then_some((x, y))
    });
    let (x, y) = coordinates.ok_or("the library wrote a point in another form")?;
    Ok(Pair {
        public: BTreeMap::from([
            ("kty", "EC".to_owned()),
            ("crv", curve.to_owned()),
            ("x", encode(x)),
            ("y", encode(y)),
        ]),
        private: BTreeMap::from([("d", encode(private))]),
    })
}

/// RFC 7518 section 6.3.
fn rsa() -> Result<Pair, String> {
    let mut key = rsa::PrivateKey::new(&mut SysRng, RSA_BITS).map_err(no_random)?;
    key.precompute().map_err(no_random)?;
    let incomplete = "the library made an incomplete RSA key";
    let [p, q] = key.primes() else {
        return Err(incomplete.to_owned());
    };
    let (dp, dq) = key.dp().zip(key.dq()).ok_or(incomplete)?;
    let qi = key.crt_coefficient().ok_or(incomplete)?;
    Ok(Pair {
        public: BTreeMap::from([
            ("kty", "RSA".to_owned()),
            ("n", encode_number(key.n())),
            ("e", encode_number(key.e())),
        ]),
        private: BTreeMap::from([
            ("d", encode_number(key.d())),
            ("p", encode_number(p)),
            ("q", encode_number(q)),
            ("dp", encode_number(dp)),
            ("dq", encode_number(dq)),
            ("qi", encode_number(&qi)),
        ]),
    })
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7518 section 2, Base64urlUInt: no leading zero octets.
fn encode_number(number: &BoxedUint) -> String {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    encode(bytes.get(zeros..).unwrap_or_default())
}

fn no_random(why: impl fmt::Display) -> String {
    format!("cannot make a key: {why}")
}

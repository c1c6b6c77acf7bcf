//! An issuer's keys and tokens, signed with AWS-LC: a library that the filter does not use.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The asymmetric algorithms that an issuer can sign with.
pub const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

/// `sub` of alex.
pub const ALEX: &str = "0b1e1f6c-alex";

/// A key pair under one algorithm and one name.
pub struct SigningKey {
    /// `kid` of the public key and of the tokens.
    pub kid: String,
    /// `alg` (RFC 7518 section 3.1).
    pub alg: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key pair.
    ///
    /// # Panics
    /// When the algorithm is none of [`ALGORITHMS`].
    #[must_use]
    pub fn generate(alg: &str, kid: &str) -> Self {
        let alg = ALGORITHMS
            .into_iter()
            .find(|known| *known == alg)
            .unwrap_or_else(|| panic!("no algorithm {alg}"));
        let rsa = |encoding| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
            Pair::Rsa(pair, encoding)
        };
        let ec = |algorithm: &'static EcdsaSigningAlgorithm, curve| {
            Pair::Ec(EcdsaKeyPair::generate(algorithm).expect("an EC key"), curve)
        };
        let pair = match alg {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            _ => Pair::Ed(Ed25519KeyPair::generate().expect("an Ed25519 key")),
        };
        Self {
            kid: kid.to_owned(),
            alg,
            pair,
        }
    }

    /// One RS256 key for all tests of this process that need just any.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SigningKey> = OnceLock::new();
        SHARED.get_or_init(|| Self::generate("RS256", "shared"))
    }

    /// Another one, where one is not enough.
    #[must_use]
    pub fn second() -> &'static Self {
        static SECOND: OnceLock<SigningKey> = OnceLock::new();
        SECOND.get_or_init(|| Self::generate("RS256", "second"))
    }

    /// One that no provider publishes.
    #[must_use]
    pub fn unpublished() -> &'static Self {
        static UNPUBLISHED: OnceLock<SigningKey> = OnceLock::new();
        UNPUBLISHED.get_or_init(|| Self::generate("RS256", "unpublished"))
    }

    /// The public key as a JWK (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": b64(public.modulus().big_endian_without_leading_zero()),
                    "e": b64(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Pair::Ec(pair, curve) => {
                // SEC 1: 4, x, y.
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())})
            }
        };
        jwk["kid"] = self.kid.as_str().into();
        jwk["alg"] = self.alg.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token with these claims, and with `alg`, `typ` and `kid` in its header.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.alg, "typ": "JWT", "kid": self.kid});
        self.token_with(&header, claims)
    }

    /// A token with just this header: nothing is added, nothing is checked.
    #[must_use]
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.sign(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these bytes.
    ///
    /// # Panics
    /// When AWS-LC refuses to sign.
    #[must_use]
    pub fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, input.as_bytes(), &mut signature)
                    .expect("an RSA signature");
                signature
            }
            Pair::Ec(pair, _) => pair
                .sign(&random, input.as_bytes())
                .expect("an EC signature")
                .as_ref()
                .to_vec(),
            Pair::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
        };
        format!("{input}.{}", b64(&signature))
    }
}

/// A token under HS256 with this secret.
#[must_use]
pub fn hs256(secret: &[u8], claims: &Value) -> String {
    let header = b64(json!({"alg": "HS256", "typ": "JWT"}).to_string().as_bytes());
    let input = format!("{header}.{}", b64(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", b64(signature.as_ref()))
}

/// A JWE (RFC 7516, `dir` and `A256GCM`) of these claims, for which nobody has the key.
///
/// # Panics
/// When AWS-LC refuses to encrypt.
#[must_use]
pub fn encrypted(claims: &Value) -> String {
    let random = SystemRandom::new();
    let (mut key, mut nonce) = ([0; 32], [0; 12]);
    random.fill(&mut key).expect("random bytes");
    random.fill(&mut nonce).expect("random bytes");
    let key = UnboundKey::new(&AES_256_GCM, &key).expect("a key");
    let header = b64(json!({"alg": "dir", "enc": "A256GCM"})
        .to_string()
        .as_bytes());
    let mut text = claims.to_string().into_bytes();
    let tag = LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header.as_bytes()),
            &mut text,
        )
        .expect("a sealed text");
    // The key of a `dir` is not sent.
    format!(
        "{header}..{}.{}.{}",
        b64(&nonce),
        b64(&text),
        b64(tag.as_ref())
    )
}

/// A key set document of these public keys.
#[must_use]
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Value {
    json!({"keys": keys.into_iter().map(SigningKey::jwk).collect::<Vec<_>>()})
}

/// Claims of an access token for alex that is good for five minutes.
#[must_use]
pub fn claims(issuer: &str) -> Value {
    let now = now();
    json!({
        "iss": issuer,
        "sub": ALEX,
        "aud": "account",
        "azp": "kong",
        "iat": now,
        "exp": now + 300,
        "scope": "openid profile email",
        "preferred_username": "alex",
        "email": "alex@example.test",
    })
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// base64url without padding (RFC 7515 section 2).
#[must_use]
pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

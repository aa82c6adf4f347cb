//! How a `Webhook-Signature` can be read: as it should be written, then as it is found written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::finding::Finding;

/// Bytes of an HMAC-SHA256.
const HMAC_BYTES: usize = 32;
/// Most signatures of one header that are looked at.
const SIGNATURES_MAX: usize = 32;

/// One signature that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The HMAC.
    pub(super) hmac: [u8; HMAC_BYTES],
    /// Its place in the header, from 1.
    pub(super) place: usize,
    /// How its writing departs from `v1,BASE64`.
    pub(super) departure: Option<Finding>,
}

/// What a header holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Signatures {
    /// Those that can be compared.
    pub(super) candidates: Vec<Candidate>,
    /// Why others cannot be.
    pub(super) unreadable: Vec<Finding>,
}

/// Reads a header.
pub(super) fn parse(header: &str) -> Signatures {
    let mut text = header.trim().trim_matches(['"', '\'']).to_owned();
    if let Some((name, value)) = text.split_once(':')
        && name.eq_ignore_ascii_case("webhook-signature")
    {
        text = value.trim().to_owned();
    }
    let mut found = Signatures::default();
    let (text, spelling) = respell(&text);
    for (index, part) in text.split_whitespace().take(SIGNATURES_MAX).enumerate() {
        match read(part) {
            Ok((hmac, departure)) => found.candidates.push(Candidate {
                hmac,
                place: index + 1,
                departure: departure.or_else(|| spelling.clone()),
            }),
            Err(finding) => found.unreadable.push(finding),
        }
    }
    if found.candidates.is_empty() && found.unreadable.is_empty() {
        found.unreadable.push(Finding::wrong(
            "signature_empty",
            "the signature is empty",
            "give the header Webhook-Signature as it came: v1, and 44 characters of base64",
        ));
    }
    found
}

/// Undoes what befalls the header as a whole.
fn respell(text: &str) -> (String, Option<Finding>) {
    if text.contains('%') {
        let plain = text.replace("%2B", "+").replace("%2b", "+").replace("%2F", "/").replace("%2f", "/");
        let plain = plain
            .replace("%3D", "=")
            .replace("%3d", "=")
            .replace("%2C", ",")
            .replace("%2c", ",")
            .replace("%20", " ");
        let finding = Finding::wrong(
            "signature_percent_encoded",
            "the signature is percent-encoded, as in a url",
            "decode it before it is compared",
        );
        return (plain, Some(finding));
    }
    let by_comma = text.replace(", v1,", " v1,").replace(",v1,", " v1,");
    if by_comma != text && !text.starts_with("v1,v1,") {
        let finding = Finding::wrong(
            "signature_separator",
            "the signatures are parted by commas",
            "several signatures are parted by spaces; something on the way has joined them",
        );
        return (by_comma, Some(finding));
    }
    // `+` is a space in forms: `v1,abc+def=` becomes `v1,abc def=`.
    let parts: Vec<&str> = text.split(' ').collect();
    if parts.len() > 1 && parts.iter().skip(1).all(|part| !part.contains(',')) && parts.first().is_some_and(|part| part.starts_with("v1,"))
    {
        let finding = Finding::wrong(
            "signature_plus_lost",
            "each + in the signature has become a space",
            "something read it as a part of a form or a url: take the header as it comes",
        );
        return (parts.join("+"), Some(finding));
    }
    (text.to_owned(), None)
}

type Read = Result<([u8; HMAC_BYTES], Option<Finding>), Finding>;

fn read(part: &str) -> Read {
    let (encoded, prefix) = strip_version(part)?;
    let (hmac, encoding) = decode(encoded)?;
    Ok((hmac, encoding.or(prefix)))
}

fn strip_version(part: &str) -> Result<(&str, Option<Finding>), Finding> {
    if let Some(rest) = part.strip_prefix("v1,v1,") {
        let twice = Finding::wrong(
            "signature_prefix",
            "the signature begins with v1, twice",
            "compare with what stands behind one v1,",
        );
        return Ok((rest, Some(twice)));
    }
    if let Some(rest) = part.strip_prefix("v1,") {
        return Ok((rest.trim_end_matches(','), None));
    }
    if part.starts_with("v1a,") {
        return Err(Finding::note(
            "signature_asymmetric",
            "a v1a signature stands beside: it is made with a private key, and no whsec_ secret verifies it",
            "compare with those that begin with v1,",
        ));
    }
    if part.contains("t=") && part.contains("v1=") {
        return Err(Finding::wrong(
            "signature_of_another_format",
            "the signature is written t=…,v1=…, as another platform writes it",
            "give the header Webhook-Signature; the time comes in Webhook-Timestamp",
        ));
    }
    for prefix in ["v1=", "sha256=", "v1:", "v1 "] {
        if let Some(rest) = part.strip_prefix(prefix) {
            let finding = Finding::wrong(
                "signature_prefix",
                format!("the signature begins with {prefix} where it should begin with v1,"),
                "write v1, and the base64 of the HMAC",
            );
            return Ok((rest, Some(finding)));
        }
    }
    let finding = Finding::wrong(
        "signature_prefix",
        "v1, is missing before the signature",
        "the header is v1, and the base64 of the HMAC, and may hold several of those parted by spaces: compare with each, its v1, taken off",
    );
    Ok((part, Some(finding)))
}

fn decode(encoded: &str) -> Read {
    let exact = |bytes: Vec<u8>| <[u8; HMAC_BYTES]>::try_from(bytes).ok();
    if let Some(hmac) = STANDARD.decode(encoded).ok().and_then(exact) {
        return Ok((hmac, None));
    }
    let wrong = |detail: &str| {
        Some(Finding::wrong(
            "signature_encoding",
            detail,
            "compare base64 with base64: standard alphabet, padded, of the 32 bytes of the HMAC",
        ))
    };
    if let Some(hmac) = from_hex(encoded.as_bytes()) {
        return Ok((hmac, wrong("the signature is written in hex, not in base64")));
    }
    if let Some(hmac) = STANDARD_NO_PAD.decode(encoded).ok().and_then(exact) {
        return Ok((hmac, wrong("the = at the signature's end is missing")));
    }
    let url_safe = URL_SAFE.decode(encoded).or_else(|_| URL_SAFE_NO_PAD.decode(encoded));
    if let Some(hmac) = url_safe.ok().and_then(exact) {
        return Ok((
            hmac,
            wrong("the signature is written in the url-safe alphabet of base64 (- and _ for + and /)"),
        ));
    }
    if let Some(hmac) = STANDARD.decode(encoded).ok().and_then(|text| from_hex(&text)) {
        return Ok((hmac, wrong("the signature is base64 of the HMAC's hex text, not of its bytes")));
    }
    let bytes = STANDARD.decode(encoded).map(|bytes| bytes.len());
    Err(Finding::wrong(
        "signature_unreadable",
        match bytes {
            Ok(bytes) => format!("the signature has {bytes} bytes behind its base64, where an HMAC-SHA256 has {HMAC_BYTES}"),
            Err(_) => "what stands behind v1, is no base64".to_owned(),
        },
        "give all of it: 44 characters, the last one =",
    ))
}

fn from_hex(text: &[u8]) -> Option<[u8; HMAC_BYTES]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if text.len() != 2 * HMAC_BYTES {
        return None;
    }
    let bytes: Option<Vec<u8>> = text
        .chunks_exact(2)
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hmac() -> [u8; HMAC_BYTES] {
        std::array::from_fn(|index| (index * 37 + 251) as u8)
    }

    fn only(header: &str) -> (bool, Option<&'static str>) {
        let found = parse(header);
        match found.candidates.first() {
            Some(candidate) => (candidate.hmac == hmac(), candidate.departure.as_ref().map(|finding| finding.code)),
            None => (false, found.unreadable.first().map(|finding| finding.code)),
        }
    }

    #[test]
    fn spellings_are_read_and_named() {
        let right = STANDARD.encode(hmac());
        let hex: String = hmac().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            right.contains('+') || right.contains('/'),
            "the alphabets would not differ: {right}"
        );
        for (header, code) in [
            (format!("v1,{right}"), None),
            (format!("Webhook-Signature: v1,{right}"), None),
            (format!(" v1,{right}\n"), None),
            (right.clone(), Some("signature_prefix")),
            (format!("v1={right}"), Some("signature_prefix")),
            (format!("v1,v1,{right}"), Some("signature_prefix")),
            (format!("v1,{}", right.trim_end_matches('=')), Some("signature_encoding")),
            (format!("v1,{}", URL_SAFE.encode(hmac())), Some("signature_encoding")),
            (format!("v1,{hex}"), Some("signature_encoding")),
            (format!("v1,{}", STANDARD.encode(&hex)), Some("signature_encoding")),
            (
                format!("v1,{}", right.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")),
                Some("signature_percent_encoded"),
            ),
            (format!("v1,{right}, v1,{right}"), Some("signature_separator")),
        ] {
            assert_eq!(only(&header), (true, code), "{header}");
        }
        assert_eq!(only("").1, Some("signature_empty"));
        assert_eq!(only("v1,abc").1, Some("signature_unreadable"));
        assert_eq!(only("t=1,v1=abc").1, Some("signature_of_another_format"));
        assert_eq!(only("v1a,abc").1, Some("signature_asymmetric"));
    }

    #[test]
    fn a_lost_plus_is_found_again() {
        let hmac = [0xfb; HMAC_BYTES];
        let encoded = STANDARD.encode(hmac);
        assert!(encoded.contains('+'));
        let found = parse(&format!("v1,{}", encoded.replace('+', " ")));
        let candidate = found.candidates.first().unwrap();
        assert_eq!(candidate.hmac, hmac);
        assert_eq!(candidate.departure.as_ref().unwrap().code, "signature_plus_lost");
    }

    #[test]
    fn several_signatures_are_told_apart_by_their_place() {
        let (one, other) = (STANDARD.encode([1; HMAC_BYTES]), STANDARD.encode([2; HMAC_BYTES]));
        let found = parse(&format!("v1,{one} v1a,xyz v1,{other}"));
        let places: Vec<usize> = found.candidates.iter().map(|candidate| candidate.place).collect();
        assert_eq!(places, [1, 3]);
        assert_eq!(found.unreadable.len(), 1);
    }
}

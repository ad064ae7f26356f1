//! Reads the region out of an ARN. ARNs come from the developer who configures a pool, so they are untrusted
//! input.

/// The longest accepted region, in characters.
const REGION_CHARS_MAX: usize = 32;

/// The region that an ARN names: its fourth part, if valid. A region becomes part of a host name, so only
/// characters of host names are accepted.
pub(super) fn region(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let (arn, _partition, _service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let plain =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let well_formed = (1..=REGION_CHARS_MAX).contains(&region.len()) && region.chars().all(plain);
    (arn == "arn" && well_formed).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_part_is_the_region() {
        assert_eq!(region("arn:aws:sns:eu-west-1:123456789012:app/GCM/name"), Some("eu-west-1"));
        assert_eq!(region("arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live"), Some("cn-north-1"));
    }

    #[test]
    fn what_is_no_arn_or_no_region_has_none() {
        for text in
            ["", "my-function", "arn:aws:iam::123456789012:role/r", "arn:aws:sns", "x:aws:sns:eu-west-1:1:t"]
        {
            assert_eq!(region(text), None, "{text}");
        }
        for bad in ["evil.example.org/", "EU-WEST-1", "a b", "é", "../x", &"a".repeat(33)] {
            assert_eq!(region(&format!("arn:aws:sns:{bad}:1:t")), None, "{bad}");
        }
    }
}

//! What printer and parser must agree on: which texts are numbers, and which can be names.

/// Whether the text is parsed as an id: digits, optionally after a minus sign.
pub(super) fn is_id(text: &str) -> bool {
    is_number(text.strip_prefix('-').unwrap_or(text))
}

/// Whether the text consists of one or more digits.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the text can be a name, so that it is read back as that name.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |character: char| {
        !character.is_whitespace() && !character.is_control() && !is_mark(character) && character != '#'
    };
    !text.is_empty() && !is_id(text) && text.chars().all(plain)
}

/// Whether the character is a separate word.
pub(super) fn is_mark(character: char) -> bool {
    matches!(character, ',' | '(' | ')' | '{' | '}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_told_apart() {
        for id in ["0", "-1", "007", "99999999999999999999"] {
            assert!(is_id(id) && !is_name(id), "{id}");
        }
        for name in ["www", "_dhcp", "a-b", "-", "1-2", "+1", "--1", "914c/g", "ä"] {
            assert!(is_name(name) && !is_id(name), "{name}");
        }
        for neither in ["", "a b", "a#", "(a)", "a,b", "{", "a\u{a0}b", "\x07"] {
            assert!(!is_name(neither) && !is_id(neither), "{neither}");
        }
        assert!(is_number("80") && !is_number("-80"));
    }
}

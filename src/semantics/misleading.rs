//! Characters with which a name could pretend to be another text, to a person or to a program.

/// Whether a character is a control character (a terminal may obey it), ends a line for some programs, or changes the
/// direction of the text around it. JSON allows most of them, so they have to be escaped.
pub fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_line_ends_and_changes_of_direction_are_misleading_and_letters_of_all_scripts_are_not() {
        let misleading =
            "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{61c}";
        assert!(misleading.chars().all(is_misleading));
        let harmless = " ~\"\\<\u{e9}\u{301}\u{5e9}\u{645}\u{6f22}\u{200b}\u{200d}\u{1f642}\u{fffd}";
        assert!(!harmless.chars().any(is_misleading));
    }
}

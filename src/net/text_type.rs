//! What every validated text has in common: it can only be made through its check, and shows itself as it is.

/// Gives a `struct Name(String)` with a `FromStr` the other traits of a validated text: [`Display`](std::fmt::Display),
/// `as_str`, and serde forms that go through the same check.
macro_rules! text_type {
    ($name:ident, $error:ty) => {
        impl $name {
            /// The text in its one canonical form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}

pub(crate) use text_type;

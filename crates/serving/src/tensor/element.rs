//! The element types: what each can be read from, and how it is written.

use std::io::Write as _;

use half::f16;
use tract_onnx::prelude::Datum;

/// An element of a tensor.
pub trait Element: Datum {
    const NAME: &'static str;

    fn from_bool(value: bool) -> Result<Self, String> {
        Err(format!("{value} is not {}", Self::NAME))
    }
    fn from_int(value: i128) -> Result<Self, String> {
        Err(format!("{value} is not {}", Self::NAME))
    }
    fn from_float(value: f64) -> Result<Self, String> {
        Err(format!("{value} is not {}", Self::NAME))
    }
    fn from_text(value: &str) -> Result<Self, String> {
        let start: String = value.chars().take(40).collect();
        Err(format!("{start:?} is not {}", Self::NAME))
    }
    /// JSON has no NaN: `null` stands for it, in requests as in answers.
    fn from_null() -> Result<Self, String> {
        Err(format!("null is not {}", Self::NAME))
    }
    fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String>;
    fn write_json(&self, out: &mut Vec<u8>);
    fn write_bytes(&self, out: &mut Vec<u8>);
}

/// Whole arrays of bytes, each element as wide as `N`.
fn fixed<const N: usize, T>(bytes: &[u8], count: usize, read: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let expected = count.checked_mul(N);
    if expected != Some(bytes.len()) {
        let have = bytes.len();
        return Err(format!("its binary data has {have} bytes, but {count} elements of {N} bytes are expected"));
    }
    Ok(bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect())
}

/// Writing to a `Vec` cannot fail.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

macro_rules! whole_number {
    ($($kind:ty, $name:literal);* $(;)?) => {$(
        impl Element for $kind {
            const NAME: &'static str = $name;
            fn from_int(value: i128) -> Result<Self, String> {
                Self::try_from(value).map_err(|_| format!("{value} is not {}", Self::NAME))
            }
            fn from_float(value: f64) -> Result<Self, String> {
                // A whole number may be written as one with a point.
                if value.fract() == 0.0 && value.abs() < 9e15 {
                    return Self::from_int(value as i128);
                }
                Err(format!("{value} is not {}", Self::NAME))
            }
            fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
                fixed(bytes, count, Self::from_le_bytes)
            }
            fn write_json(&self, out: &mut Vec<u8>) {
                put(out, format_args!("{self}"));
            }
            fn write_bytes(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

whole_number! {
    i8, "a whole number of 8 bits";
    i16, "a whole number of 16 bits";
    i32, "a whole number of 32 bits";
    i64, "a whole number of 64 bits";
    u8, "a whole number of 8 bits, not negative";
    u16, "a whole number of 16 bits, not negative";
    u32, "a whole number of 32 bits, not negative";
    u64, "a whole number of 64 bits, not negative";
}

macro_rules! floating {
    ($($kind:ty, $from:expr, $shown:expr);* $(;)?) => {$(
        impl Element for $kind {
            const NAME: &'static str = "a number";
            fn from_int(value: i128) -> Result<Self, String> {
                Self::from_float(value as f64)
            }
            fn from_float(value: f64) -> Result<Self, String> {
                let number: Self = $from(value);
                if number.is_finite() { Ok(number) } else { Err(format!("{value} is too large")) }
            }
            fn from_null() -> Result<Self, String> {
                Ok(<$kind>::NAN)
            }
            fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
                fixed(bytes, count, Self::from_le_bytes)
            }
            fn write_json(&self, out: &mut Vec<u8>) {
                if self.is_finite() {
                    // The shortest text that reads back as the same number.
                    let _ = serde_json::to_writer(out, &$shown(*self));
                } else {
                    out.extend_from_slice(b"null");
                }
            }
            fn write_bytes(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

floating! {
    f16, f16::from_f64, f16::to_f32;
    f32, (|value: f64| value as f32), std::convert::identity;
    f64, std::convert::identity, std::convert::identity;
}

impl Element for bool {
    const NAME: &'static str = "true or false";

    fn from_bool(value: bool) -> Result<Self, String> {
        Ok(value)
    }

    fn from_int(value: i128) -> Result<Self, String> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(format!("{value} is not {}", Self::NAME)),
        }
    }

    fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
        let values = fixed(bytes, count, |[byte]: [u8; 1]| byte)?;
        match values.iter().find(|byte| **byte > 1) {
            Some(byte) => Err(format!("{byte} is neither 0 nor 1, as the bytes of BOOL are")),
            None => Ok(values.into_iter().map(|byte| byte == 1).collect()),
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        put(out, format_args!("{self}"));
    }

    fn write_bytes(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// Text, in UTF-8. As bytes each element is preceded by its length in four bytes.
impl Element for String {
    const NAME: &'static str = "text";

    fn from_text(value: &str) -> Result<Self, String> {
        Ok(value.to_owned())
    }

    fn from_bytes(mut bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
        // Each takes four bytes at least: no more is set aside than the bytes can hold.
        let mut texts = Vec::with_capacity(count.min(bytes.len() / 4));
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let (text, rest) = rest.split_at_checked(length).ok_or("an element is longer than its binary data")?;
            texts.push(str::from_utf8(text).map_err(|_| "an element is not UTF-8")?.to_owned());
            bytes = rest;
        }
        if !bytes.is_empty() {
            return Err("its binary data ends within the length of an element".to_owned());
        }
        if texts.len() != count {
            return Err(format!("its binary data has {} elements, but {count} are expected", texts.len()));
        }
        Ok(texts)
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, self);
    }

    fn write_bytes(&self, out: &mut Vec<u8>) {
        // A text of more than 4 GiB cannot be told in this encoding, nor be made by a model.
        out.extend_from_slice(&u32::try_from(self.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(self.as_bytes());
    }
}

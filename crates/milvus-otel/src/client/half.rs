//! Numbers of 16 bits, in which half-precision vectors travel.

/// The magnitudes of infinity; those of NaN are greater.
const BFLOAT16_INFINITY: u16 = 0x7f80;
const FLOAT16_INFINITY: u16 = 0x7c00;

/// The bits of the `bfloat16` nearest to `number`: the upper half of its own, rounded to even. `None` if that is
/// infinite.
pub(super) fn to_bfloat16(number: f32) -> Option<u16> {
    let bits = number.to_bits();
    if number.is_nan() {
        return Some((bits >> 16) as u16 | 0x40);
    }
    let round = 0x7fff + (bits >> 16 & 1);
    finite((bits.wrapping_add(round) >> 16) as u16, BFLOAT16_INFINITY)
}

fn finite(bits: u16, infinity: u16) -> Option<u16> {
    (bits & 0x7fff != infinity).then_some(bits)
}

pub(super) fn from_bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bits of the IEEE number of 16 bits nearest to `number`, with ties to even. `None` if that is infinite.
pub(super) fn to_float16(number: f32) -> Option<u16> {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    if number.is_nan() {
        return Some(sign | FLOAT16_INFINITY | 0x200);
    }
    let magnitude = bits & 0x7fff_ffff;
    // The exponents' biases are 127 and 15; below 113 a number is subnormal, and loses a bit for each step.
    let exponent = magnitude >> 23;
    if exponent >= 143 {
        return None;
    }
    let (fraction, lost) = if exponent >= 113 {
        (magnitude - (112 << 23), 13)
    } else if exponent >= 102 {
        (magnitude & 0x7f_ffff | 0x80_0000, 126 - exponent)
    } else {
        return Some(sign);
    };
    let kept = fraction >> lost;
    let rest = fraction & ((1 << lost) - 1);
    let tie = 1 << (lost - 1);
    let up = rest > tie || (rest == tie && kept & 1 == 1);
    // Rounding up the largest number carries into the exponent, which makes it infinite.
    finite(sign | (kept + u32::from(up)) as u16, FLOAT16_INFINITY)
}

pub(super) fn from_float16(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match bits >> 10 & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_number_of_16_bits_is_kept() {
        for bits in 0..=u16::MAX {
            let (float, bfloat) = (from_float16(bits), from_bfloat16(bits));
            if !float.is_nan() {
                let kept = float.is_finite().then_some(bits);
                assert_eq!(to_float16(float), kept, "{float}");
            }
            if !bfloat.is_nan() {
                let kept = bfloat.is_finite().then_some(bits);
                assert_eq!(to_bfloat16(bfloat), kept, "{bfloat}");
            }
        }
        assert!(to_float16(f32::NAN).is_some_and(|bits| from_float16(bits).is_nan()));
        assert!(to_bfloat16(f32::NAN).is_some_and(|bits| from_bfloat16(bits).is_nan()));
    }

    #[test]
    fn a_number_between_two_is_rounded_to_the_nearer_one_and_a_tie_to_even() {
        let all: Vec<f32> = (0..FLOAT16_INFINITY).map(from_float16).collect();
        for (bits, pair) in all.windows(2).enumerate() {
            let bits = bits as u16;
            let middle = pair[0] + (pair[1] - pair[0]) / 2.0;
            let even = bits + (bits & 1);
            assert_eq!(to_float16(middle), Some(even), "{middle}");
            assert_eq!(to_float16(middle.next_down()), Some(bits), "{middle}");
            assert_eq!(to_float16(middle.next_up()), Some(bits + 1), "{middle}");
            assert_eq!(to_float16(-middle), Some(even | 0x8000), "{middle}");
        }
        assert_eq!(to_float16(65_519.0), Some(0x7bff));
        assert_eq!(to_float16(65_520.0), None);
        assert_eq!(to_float16(f32::INFINITY), None);
        assert_eq!(to_float16(f32::MIN_POSITIVE), Some(0));
        assert_eq!(to_bfloat16(1.0 + 1.0 / 256.0), Some(0x3f80));
        assert_eq!(to_bfloat16(1.0 + 3.0 / 256.0), Some(0x3f82));
        assert_eq!(to_bfloat16(f32::MAX), None);
    }
}

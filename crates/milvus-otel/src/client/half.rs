//! Numbers of 16 bits, in which half-precision vectors travel.

/// The bits of the `bfloat16` nearest to `number`: the upper half of its own, rounded to even.
pub(super) fn to_bfloat16(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let round = 0x7fff + (bits >> 16 & 1);
    (bits.wrapping_add(round) >> 16) as u16
}

pub(super) fn from_bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bits of the IEEE number of 16 bits nearest to `number`, with ties to even; infinite beyond the largest.
pub(super) fn to_float16(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude >= 0x7f80_0000 {
        let nan = if magnitude > 0x7f80_0000 { 0x200 } else { 0 };
        return sign | 0x7c00 | nan;
    }
    // The exponents' biases are 127 and 15; below 113 a number is subnormal, and loses a bit for each step.
    let exponent = magnitude >> 23;
    if exponent >= 143 {
        return sign | 0x7c00;
    }
    let (fraction, lost) = if exponent >= 113 {
        (magnitude - (112 << 23), 13)
    } else if exponent >= 102 {
        (magnitude & 0x7f_ffff | 0x80_0000, 126 - exponent)
    } else {
        return sign;
    };
    let kept = fraction >> lost;
    let rest = fraction & ((1 << lost) - 1);
    let tie = 1 << (lost - 1);
    let up = rest > tie || (rest == tie && kept & 1 == 1);
    // What is rounded up beyond the largest becomes infinite by the same carry.
    sign | (kept + u32::from(up)) as u16
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
    fn every_number_of_16_bits_is_kept() {
        for bits in 0..=u16::MAX {
            let (float, bfloat) = (from_float16(bits), from_bfloat16(bits));
            if !float.is_nan() {
                assert_eq!(to_float16(float), bits, "{float}");
            }
            if !bfloat.is_nan() {
                assert_eq!(to_bfloat16(bfloat), bits, "{bfloat}");
            }
        }
        assert!(from_float16(to_float16(f32::NAN)).is_nan());
        assert!(from_bfloat16(to_bfloat16(f32::NAN)).is_nan());
    }

    #[test]
    fn a_number_between_two_is_rounded_to_the_nearer_one_and_a_tie_to_even() {
        let all: Vec<f32> = (0..0x7c00).map(from_float16).collect();
        for (bits, pair) in all.windows(2).enumerate() {
            let middle = pair[0] + (pair[1] - pair[0]) / 2.0;
            let even = (bits + (bits & 1)) as u16;
            assert_eq!(to_float16(middle), even, "{middle}");
            assert_eq!(to_float16(middle.next_down()), bits as u16, "{middle}");
            assert_eq!(to_float16(middle.next_up()), bits as u16 + 1, "{middle}");
            assert_eq!(to_float16(-middle), even | 0x8000, "{middle}");
        }
        assert_eq!(to_float16(65_519.0), 0x7bff);
        assert_eq!(to_float16(65_520.0), 0x7c00);
        assert_eq!(to_float16(f32::MIN_POSITIVE), 0);
        assert_eq!(to_bfloat16(1.0 + 1.0 / 256.0), 0x3f80);
        assert_eq!(to_bfloat16(1.0 + 3.0 / 256.0), 0x3f82);
        assert_eq!(to_bfloat16(f32::MAX), 0x7f80);
    }
}

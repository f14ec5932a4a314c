package jpeg

// The inverse transform is that of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) in 13-bit fixed point, with 2 more bits
// kept between the passes: the arithmetic of libjpeg's "islow", equal to it in every sample.
const (
	constBits = 13
	passBits  = 2

	c0_298631336 = 2446
	c0_390180644 = 3196
	c0_541196100 = 4433
	c0_765366865 = 6270
	c0_899976223 = 7373
	c1_175875602 = 9633
	c1_501321110 = 12299
	c1_847759065 = 15137
	c1_961570560 = 16069
	c2_053119869 = 16819
	c2_562915447 = 20995
	c3_072711026 = 25172
)

// transform writes the samples of a block to its place in the plane. No coefficient behind last, in zigzag order, is set.
func (c *Component) transform(coefs *block, last, x, y int) {
	dst := c.Pix[(y*c.Stride+x)*blockSide:]
	if last == 0 {
		fillBlock(dst, c.Stride, sample((int32(coefs[0])*c.decoded[0]<<passBits+1<<(passBits+2))>>(passBits+3)))
		return
	}
	inverse(dst, c.Stride, coefs, c.decoded)
}

func fillBlock(dst []uint8, stride int, v uint8) {
	for y := range blockSide {
		row := (*[blockSide]uint8)(dst[y*stride:])
		for x := range row {
			row[x] = v
		}
	}
}

// sample shifts the level up by half of its range and clamps it.
func sample(v int32) uint8 {
	v += 128
	if uint32(v) > 255 { //nolint:gosec // a negative value becomes a large one on purpose
		return uint8(^v >> 31) //nolint:gosec // 0 below, 255 above
	}
	return uint8(v) //nolint:gosec // it was just compared
}

// Two columns, and later two rows, are transformed at once, one in the upper and one in the lower half of 64 bits. Sums and
// products with constants keep the halves apart as long as each result fits 32 bits, as it does in an undamaged file.

func pair(upper, lower int32) int64 { return int64(upper)<<32 + int64(lower) }

// upper is the upper half divided by 1<<shift. A negative lower half has borrowed from it; adding 1<<31 gives that back.
func upper(v int64, shift int) int32 { return int32((v + 1<<31) >> (32 + shift)) } //nolint:gosec // 32 bits are left

// lower is the lower half divided by 1<<shift.
func lower(v int64, shift int) int32 { return int32(v) >> shift } //nolint:gosec // the upper half is to go

const (
	columnShift = constBits - passBits
	rowShift    = constBits + passBits + 3

	columnHalf = 1<<(columnShift-1+32) + 1<<(columnShift-1)
	rowHalf    = 1<<(rowShift-1+32) + 1<<(rowShift-1)
)

func inverse(dst []uint8, stride int, coefs *block, quant *[blockSamples]int32) {
	var work [blockSamples]int32
	for x := 0; x < blockSide; x += 2 {
		in, q, out := (*[58]int16)(coefs[x:]), (*[58]int32)(quant[x:]), (*[58]int32)(work[x:])
		if in[8]|in[16]|in[24]|in[32]|in[40]|in[48]|in[56]|in[9]|in[17]|in[25]|in[33]|in[41]|in[49]|in[57] == 0 {
			left, right := int32(in[0])*q[0]<<passBits, int32(in[1])*q[1]<<passBits
			out[0], out[8], out[16], out[24], out[32], out[40], out[48], out[56] = left, left, left, left, left, left, left, left
			out[1], out[9], out[17], out[25], out[33], out[41], out[49], out[57] = right, right, right, right, right, right, right, right
			continue
		}
		s0, s1, s2, s3, s4, s5, s6, s7 := butterflies(
			pair(int32(in[0])*q[0], int32(in[1])*q[1]), pair(int32(in[8])*q[8], int32(in[9])*q[9]),
			pair(int32(in[16])*q[16], int32(in[17])*q[17]), pair(int32(in[24])*q[24], int32(in[25])*q[25]),
			pair(int32(in[32])*q[32], int32(in[33])*q[33]), pair(int32(in[40])*q[40], int32(in[41])*q[41]),
			pair(int32(in[48])*q[48], int32(in[49])*q[49]), pair(int32(in[56])*q[56], int32(in[57])*q[57]),
			columnHalf,
		)
		out[0], out[1] = upper(s0, columnShift), lower(s0, columnShift)
		out[8], out[9] = upper(s1, columnShift), lower(s1, columnShift)
		out[16], out[17] = upper(s2, columnShift), lower(s2, columnShift)
		out[24], out[25] = upper(s3, columnShift), lower(s3, columnShift)
		out[32], out[33] = upper(s4, columnShift), lower(s4, columnShift)
		out[40], out[41] = upper(s5, columnShift), lower(s5, columnShift)
		out[48], out[49] = upper(s6, columnShift), lower(s6, columnShift)
		out[56], out[57] = upper(s7, columnShift), lower(s7, columnShift)
	}
	for y := 0; y < blockSide; y += 2 {
		in := (*[2 * blockSide]int32)(work[y*blockSide:])
		s0, s1, s2, s3, s4, s5, s6, s7 := butterflies(
			pair(in[0], in[8]), pair(in[1], in[9]), pair(in[2], in[10]), pair(in[3], in[11]),
			pair(in[4], in[12]), pair(in[5], in[13]), pair(in[6], in[14]), pair(in[7], in[15]),
			rowHalf,
		)
		top, bottom := (*[blockSide]uint8)(dst[y*stride:]), (*[blockSide]uint8)(dst[(y+1)*stride:])
		top[0], bottom[0] = sample(upper(s0, rowShift)), sample(lower(s0, rowShift))
		top[1], bottom[1] = sample(upper(s1, rowShift)), sample(lower(s1, rowShift))
		top[2], bottom[2] = sample(upper(s2, rowShift)), sample(lower(s2, rowShift))
		top[3], bottom[3] = sample(upper(s3, rowShift)), sample(lower(s3, rowShift))
		top[4], bottom[4] = sample(upper(s4, rowShift)), sample(lower(s4, rowShift))
		top[5], bottom[5] = sample(upper(s5, rowShift)), sample(lower(s5, rowShift))
		top[6], bottom[6] = sample(upper(s6, rowShift)), sample(lower(s6, rowShift))
		top[7], bottom[7] = sample(upper(s7, rowShift)), sample(lower(s7, rowShift))
	}
}

// butterflies is the 8-point transform. Everything goes in and out in registers, arrays would not.
func butterflies(c0, c1, c2, c3, c4, c5, c6, c7, half int64) (s0, s1, s2, s3, s4, s5, s6, s7 int64) {
	z1, z2 := -(c7+c1)*c0_899976223, -(c5+c3)*c2_562915447
	z3, z4 := c7+c3, c5+c1
	z5 := (z3 + z4) * c1_175875602
	z3, z4 = z5-z3*c1_961570560, z5-z4*c0_390180644
	odd0 := c1*c1_501321110 + z1 + z4
	odd1 := c3*c3_072711026 + z2 + z3
	odd2 := c5*c2_053119869 + z2 + z4
	odd3 := c7*c0_298631336 + z1 + z3

	r := (c2 + c6) * c0_541196100
	r2, r6 := r+c2*c0_765366865, r-c6*c1_847759065
	sum, difference := (c0+c4)<<constBits+half, (c0-c4)<<constBits+half
	even0, even1, even2, even3 := sum+r2, difference+r6, difference-r6, sum-r2
	return even0 + odd0, even1 + odd1, even2 + odd2, even3 + odd3, even3 - odd3, even2 - odd2, even1 - odd1, even0 - odd0
}

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
	return uint8(v)
}

func inverse(dst []uint8, stride int, coefs *block, quant *[blockSamples]int32) {
	var work [blockSamples]int32
	for x := range blockSide {
		in, q, out := coefs[x:], quant[x:], work[x:]
		_, _, _ = in[56], q[56], out[56]
		if in[8]|in[16]|in[24]|in[32]|in[40]|in[48]|in[56] == 0 {
			v := int32(in[0]) * q[0] << passBits
			for y := range blockSide {
				out[8*y] = v
			}
			continue
		}
		e, o := butterflies(
			int32(in[0])*q[0], int32(in[8])*q[8], int32(in[16])*q[16], int32(in[24])*q[24],
			int32(in[32])*q[32], int32(in[40])*q[40], int32(in[48])*q[48], int32(in[56])*q[56],
		)
		const shift, round = constBits - passBits, 1 << (constBits - passBits - 1)
		out[0], out[56] = (e[0]+o[0]+round)>>shift, (e[0]-o[0]+round)>>shift
		out[8], out[48] = (e[1]+o[1]+round)>>shift, (e[1]-o[1]+round)>>shift
		out[16], out[40] = (e[2]+o[2]+round)>>shift, (e[2]-o[2]+round)>>shift
		out[24], out[32] = (e[3]+o[3]+round)>>shift, (e[3]-o[3]+round)>>shift
	}
	for y := range blockSide {
		in := (*[blockSide]int32)(work[8*y:])
		out := (*[blockSide]uint8)(dst[y*stride:])
		e, o := butterflies(in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7])
		const shift, round = constBits + passBits + 3, 1 << (constBits + passBits + 2)
		out[0], out[7] = sample((e[0]+o[0]+round)>>shift), sample((e[0]-o[0]+round)>>shift)
		out[1], out[6] = sample((e[1]+o[1]+round)>>shift), sample((e[1]-o[1]+round)>>shift)
		out[2], out[5] = sample((e[2]+o[2]+round)>>shift), sample((e[2]-o[2]+round)>>shift)
		out[3], out[4] = sample((e[3]+o[3]+round)>>shift), sample((e[3]-o[3]+round)>>shift)
	}
}

// butterflies returns the even and the odd half of an 8-point transform: sample i is even[i]+odd[i], sample 7−i their
// difference.
func butterflies(c0, c1, c2, c3, c4, c5, c6, c7 int32) (even, odd [4]int32) {
	r := (c2 + c6) * c0_541196100
	r2, r6 := r+c2*c0_765366865, r-c6*c1_847759065
	sum, difference := (c0+c4)<<constBits, (c0-c4)<<constBits
	even = [4]int32{sum + r2, difference + r6, difference - r6, sum - r2}

	z1, z2 := -(c7+c1)*c0_899976223, -(c5+c3)*c2_562915447
	z3, z4 := c7+c3, c5+c1
	z5 := (z3 + z4) * c1_175875602
	z3, z4 = z5-z3*c1_961570560, z5-z4*c0_390180644
	odd = [4]int32{
		c1*c1_501321110 + z1 + z4,
		c3*c3_072711026 + z2 + z3,
		c5*c2_053119869 + z2 + z4,
		c7*c0_298631336 + z1 + z3,
	}
	return even, odd
}

//go:build !cgo || !amd64

package scale

const best = inGo

func scaleFourRows([]uint8, []uint8, int, int, *fourRows) { panic(without) }

func scaleSixteenRows([]uint8, []uint8, int, *sixteenRows) { panic(without) }

func scaleColumns(kernel, []uint8, []int32, []uint8, []int32, bool) { panic(without) }

const without = "scale: this build has no kernels"

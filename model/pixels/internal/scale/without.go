//go:build !cgo || !amd64

package scale

const best = inGo

func scaleRows(kernel, []uint8, []uint8, int, int, *plan) { panic("scale: this build has no kernels") }

func scaleColumns(kernel, []uint8, []int32, []uint8, []int32, bool) {
	panic("scale: this build has no kernels")
}

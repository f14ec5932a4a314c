package pixels

import (
	"math/bits"
	"sync"
)

// Buffers are kept by size class, one pool a power of two, so that a small image does not hold a large one's memory.
const (
	smallestClass = 12 // 4 KiB
	classCount    = 20 // up to 2 GiB
)

var bytePools [classCount]sync.Pool

func sizeClass(n int) int {
	return max(0, bits.Len(uint(max(n, 1)-1))-smallestClass)
}

// takeBytes returns n bytes of any content.
func takeBytes(n int) []uint8 {
	class := sizeClass(n)
	if class >= classCount {
		return make([]uint8, n)
	}
	if b, ok := bytePools[class].Get().(*[]uint8); ok {
		return (*b)[:n]
	}
	return make([]uint8, n, 1<<(class+smallestClass))
}

func giveBytes(b []uint8) {
	class := sizeClass(cap(b))
	if class >= classCount || cap(b) != 1<<(class+smallestClass) {
		return
	}
	b = b[:0]
	bytePools[class].Put(&b)
}

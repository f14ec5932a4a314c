package pixels

import (
	"math"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/itrstream/itrstream/model/pixels/internal/scale"
)

// axis scales in samples to out, of which count from first on are wanted.
type axis struct{ in, out, first, count int }

// weights do not change, so that all who scale from one size to another share them.
type weights struct {
	spans []scale.Span
	rows  func() *scale.Rows
}

type weighing struct {
	axis
	filter Filter
}

// Cameras and services have a few sizes that most pictures come in. Those of huge ones are not kept: a cache of the largest
// takes some 13 MB.
const (
	weightsKept = 32
	longestKept = 8192
)

var (
	recentWeights     = newRecentWeights()
	recentWeightsLock sync.Mutex
)

func newRecentWeights() *lru.LRU[weighing, weights] {
	recent, err := lru.NewLRU[weighing, weights](weightsKept, nil)
	if err != nil {
		panic(err)
	}
	return recent
}

func weightsOf(a axis, filter Filter) weights {
	key := weighing{a, filter}
	recentWeightsLock.Lock()
	w, ok := recentWeights.Get(key)
	recentWeightsLock.Unlock()
	if ok {
		return w
	}
	spans := weigh(a, filter)
	w = weights{spans, sync.OnceValue(func() *scale.Rows { return scale.NewRows(a.in, spans) })}
	if a.in <= longestKept {
		recentWeightsLock.Lock()
		recentWeights.Add(key, w)
		recentWeightsLock.Unlock()
	}
	return w
}

// weigh says which input samples every wanted sample is made of. It follows Pillow's arithmetic to the last bit; the conversions
// to float64 keep the compiler from fusing multiplications with additions, which would round otherwise on some processors.
func weigh(a axis, filter Filter) []scale.Span {
	ratio := float64(a.in) / float64(a.out)
	stretch := max(ratio, 1)
	kernel, support := triangle, 1.0
	if filter == Bicubic {
		kernel, support = catmullRom, 2.0
	}
	support *= stretch
	spans := make([]scale.Span, a.count)
	taps := make([]int32, 0, a.count*(2+int(2*support)))
	var shares []float64
	for i := range spans {
		centre := float64((float64(a.first+i) + 0.5) * ratio)
		from := max(0, int(centre-support+0.5))
		to := min(a.in, int(centre+support+0.5))
		shares = shares[:0]
		total := 0.0
		for x := from; x < to; x++ {
			share := kernel(float64((float64(x) - centre + 0.5) * float64(1/stretch)))
			shares = append(shares, share)
			total += share
		}
		own := taps[len(taps):]
		for _, share := range shares {
			own = append(own, fixed(share/total))
		}
		taps = taps[:len(taps)+len(own)]
		for len(own) > 1 && own[len(own)-1] == 0 {
			own = own[:len(own)-1]
		}
		spans[i] = scale.Span{From: from, Taps: own}
	}
	return spans
}

func fixed(share float64) int32 {
	return int32(math.Copysign(0.5, share) + float64(share*(1<<scale.Precision)))
}

func triangle(x float64) float64 {
	return max(0, 1-math.Abs(x))
}

func catmullRom(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
	}
	return 0
}

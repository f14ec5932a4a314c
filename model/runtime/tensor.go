package runtime

import (
	"fmt"
	goruntime "runtime"

	ort "github.com/yalue/onnxruntime_go"
)

// Tensor is a Go slice with a shape. A run reads and writes the slice itself;
// nothing is copied and nothing has to be freed. The slice must be left alone
// while a run uses it.
type Tensor struct {
	shape []int64
	data  any
	size  int
	wrap  func(*goruntime.Pinner, ort.Shape) (ort.Value, error)
}

// NewTensor gives data a shape, the last axis contiguous. The shape's product
// must be len(data), which Run checks.
func NewTensor[T uint8 | int64 | float32](data []T, shape ...int64) Tensor {
	return Tensor{
		shape: shape,
		data:  data,
		size:  len(data),
		wrap: func(pins *goruntime.Pinner, s ort.Shape) (ort.Value, error) {
			pins.Pin(&data[0]) // not empty: check comes first
			return ort.NewTensor(s, data)
		},
	}
}

// Data returns the slice, for those who stand in for a graph.
func (t Tensor) Data() any { return t.data }

// check says what is wrong with the shape.
func (t Tensor) check() error {
	n := int64(1)
	for _, d := range t.shape {
		if d <= 0 {
			return fmt.Errorf("a tensor of shape %v is empty", t.shape)
		}
		n *= d
	}
	if len(t.shape) == 0 || n != int64(t.size) {
		return fmt.Errorf("a tensor of shape %v cannot hold %d elements", t.shape, t.size)
	}
	return nil
}

// values are the tensors of one run as ONNX Runtime sees them. It keeps
// pointers to the slices from one call to the next, so they stay pinned.
type values struct {
	pins goruntime.Pinner
	all  []ort.Value
}

func (v *values) wrap(tensors []Tensor) ([]ort.Value, error) {
	first := len(v.all)
	for i, t := range tensors {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("tensor %d: %w", i, err)
		}
		value, err := t.wrap(&v.pins, t.shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %d: %w", i, err)
		}
		v.all = append(v.all, value)
	}
	return v.all[first:], nil
}

func (v *values) release() {
	for _, value := range v.all {
		_ = value.Destroy()
	}
	v.pins.Unpin()
}

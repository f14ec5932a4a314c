package model

import (
	"context"
	"errors"

	"github.com/itrstream/itrstream/model/runtime"
	"github.com/itrstream/itrstream/schemas"
)

// CAM holds, for each relation, how much each cell of the image speaks for it:
// Height·Width values, rows from the top.
type CAM struct {
	Height, Width int
	Relations     [schemas.Relations][]float32
}

// ErrNoMaps is Explain's error of a model that was opened with NoMaps.
var ErrNoMaps = errors.New("model: opened without activation maps")

// Explain returns the activation maps of one pair. pixels are as See takes
// them.
func (m *Model) Explain(ctx context.Context, pixels []uint8, text string) (CAM, error) {
	if m.explain == nil {
		return CAM{}, ErrNoMaps
	}
	if err := m.checkPixels(pixels); err != nil {
		return CAM{}, err
	}
	s := m.takeScratch()
	defer m.giveScratch(s)
	ticket := m.slots.ticket()
	if err := m.readTexts(ctx, ticket, []string{text}, s); err != nil {
		return CAM{}, err
	}
	if err := m.slots.take(ctx, ticket); err != nil {
		return CAM{}, err
	}
	defer m.slots.give()
	maps := make([]float32, m.camSize())
	if err := m.explain.Run(ctx, []runtime.Tensor{m.pixelTensor(pixels, 1), row(s.vectors[0])}, []runtime.Tensor{m.camTensor(maps)}); err != nil {
		return CAM{}, err
	}
	if err := checkFinite(m.manifest.Explain.Graph, "cam", maps); err != nil {
		return CAM{}, err
	}
	cam := CAM{Height: m.manifest.Explain.Height, Width: m.manifest.Explain.Width}
	for i := range cam.Relations {
		n := cam.Height * cam.Width
		cam.Relations[i] = maps[i*n : (i+1)*n : (i+1)*n]
	}
	return cam, nil
}

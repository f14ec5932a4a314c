package pipeline

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
)

func TestTheHeapsLimitIsWhatTheContainerLeaves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ container, outside, want uint64 }{
		{1000, 300, 600},
		{1000, 0, 900},
		{1000, 700, 250},
		{1000, 5000, 250},
	} {
		got, err := heapLimit(memlimit.Limit(c.container), c.outside)()
		require.NoError(t, err)
		require.Equal(t, c.want, got, c)
	}
	_, err := heapLimit(func() (uint64, error) { return 0, memlimit.ErrNoLimit }, 0)()
	require.ErrorIs(t, err, memlimit.ErrNoLimit)
}

func TestWhatIsOutsideOfGoIsTheQueueAndTheModel(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Model.Bundle, cfg.Queue.MaxBytes = t.TempDir(), 4<<20
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Model.Bundle, "text.onnx"), make([]byte, 1000), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Model.Bundle, "text.onnx.data"), make([]byte, 500), 0o600))
	require.EqualValues(t, runtimeBytes+5<<20+3000, outsideOfGo(cfg))
}

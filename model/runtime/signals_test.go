package runtime

import (
	"errors"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// sigaction is the kernel's, on x86-64 and arm64.
type sigaction struct {
	handler, flags, restorer, mask uintptr
}

// action reads the action of a signal, and replaces it if set is not nil.
func action(t *testing.T, signal syscall.Signal, set *sigaction) (old sigaction) {
	t.Helper()
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(signal),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&old)), unsafe.Sizeof(old.mask), 0, 0)
	require.Zero(t, errno)
	return old
}

// TestKeepSignals replaces handlers as CUDA does when it starts.
func TestKeepSignals(t *testing.T) {
	t.Parallel()
	const ignore = 1 // SIG_IGN
	signals := []syscall.Signal{syscall.SIGUSR2, syscall.SIGINT}
	before := map[syscall.Signal]sigaction{}
	for _, s := range signals {
		before[s] = action(t, s, nil)
		require.Greater(t, before[s].handler, uintptr(ignore), "Go handles %v", s)
	}
	failed := errors.New("no device")
	require.ErrorIs(t, keepSignals(func() error {
		for _, s := range signals {
			action(t, s, &sigaction{handler: ignore})
			require.EqualValues(t, ignore, action(t, s, nil).handler)
		}
		return failed
	}), failed)
	for _, s := range signals {
		after := action(t, s, nil)
		require.Equal(t, before[s].handler, after.handler, s)
		require.Equal(t, before[s].flags, after.flags, s)
		require.Equal(t, before[s].mask, after.mask, s)
	}
}

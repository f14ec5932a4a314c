package model

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestOldestFirst: whoever came first is served first, whenever it asks.
func TestOldestFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		first, second, third := s.ticket(), s.ticket(), s.ticket()
		require.NoError(t, s.take(t.Context(), second))
		var served []uint64
		for _, ticket := range []uint64{third, second, first, second, first} {
			go func() {
				if s.take(t.Context(), ticket) == nil {
					served = append(served, ticket)
					s.give()
				}
			}()
			synctest.Wait()
		}
		s.give()
		synctest.Wait()
		require.Equal(t, []uint64{first, first, second, second, third}, served)
		require.Equal(t, 1, s.free)
	})
}

// TestGivingUpLosesNoSlot: neither one that leaves the queue nor one that is
// served as it leaves.
func TestGivingUpLosesNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			s := newSlots(2)
			require.NoError(t, s.take(t.Context(), 1))
			require.NoError(t, s.take(t.Context(), 1))
			ctx, cancel := context.WithCancel(t.Context())
			for ticket := range uint64(4) {
				go func() {
					if s.take(ctx, ticket) == nil {
						s.give()
					}
				}()
			}
			synctest.Wait()
			cancel()
			s.give() // the oldest has both: a slot, and no use for it
			synctest.Wait()
			s.give()
			require.Equal(t, 2, s.free)
			require.Empty(t, s.waiting)
		}
	})
}

package model

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	tinyBundle = "testdata/tiny-bundle"
	miniBundle = "bundles/itr-mini"
)

func openBundle(t testing.TB, dir string) *Model {
	t.Helper()
	m, err := Open(dir, Options{Device: "cpu"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

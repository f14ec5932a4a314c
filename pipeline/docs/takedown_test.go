package docs

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTakedownNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("takedown.md")
	require.NoError(t, err)
	checkTests(t, doc)
}

package card

import "github.com/itrstream/itrstream/connectors/dataset"

// column says what a column holds.
type column struct{ Name, Meaning string }

// columns are those of the shards, in their order.
var columns = []column{
	{dataset.ColImage, "the encoded image as it was posted (JPEG, PNG, WebP or GIF)"},
	{dataset.ColText, "the post's text, unchanged; empty where it had none"},
	{dataset.ColOCR, "text read off the image; not filled by itrstream"},
	{dataset.ColCaption, "what a captioning model says about the image; not filled by itrstream"},
	{dataset.ColAlt, "the alternative text that the author gave the image"},
	{dataset.ColRelation, "weak label: the relation with the highest score"},
	{dataset.ColScores, "probabilities of `neither`, `image_adds`, `text_represented` and `both`, by the model"},
	{dataset.ColTextIsRepresented, "probability that the text is represented in the image, by the model"},
	{dataset.ColImageAdds, "probability that the image adds to the text, by the model"},
	{dataset.ColSimilarity, "similarity of image and text, −1 to 1, by the model"},
	{dataset.ColCluster, "the cluster that the pair was assigned to when it came"},
	{dataset.ColNovel, "whether it was far from its cluster"},
	{dataset.ColPostID, "the post's id at its source"},
	{dataset.ColPair, "which image of the post, from 0"},
	{dataset.ColSource, "where the post came from"},
	{dataset.ColAuthor, "keyed hash of the author's id, empty unless the operator asks for it"},
	{dataset.ColCreatedAt, "when the post was written"},
	{dataset.ColLangs, "the post's languages as it names them"},
	{dataset.ColSensitive, "whether the post is marked sensitive"},
	{dataset.ColURI, "the post's address"},
	{dataset.ColLicense, "the post's licence; empty means unknown, which is no permission"},
	{dataset.ColOptOuts, "what the post or the image's host reserves; pairs with any are left out"},
	{dataset.ColResultID, "the result that labelled the pair"},
	{dataset.ColInputTopic, "provenance: Kafka topic of the post"},
	{dataset.ColInputPartition, "provenance: partition"},
	{dataset.ColInputOffset, "provenance: offset"},
	{dataset.ColModelName, "the model that made the weak label"},
	{dataset.ColModelVersion, "its version"},
	{dataset.ColModelDigest, "SHA-256 of its bundle"},
	{dataset.ColConfigDigest, "SHA-256 of the configuration that decided"},
	{dataset.ColSelectedReason, "why the pair was selected: `rule:` and a rule's name, `novel`, `low_confidence`, `rate`"},
	{dataset.ColProbability, "how likely the pair was to be selected, above 0, at most 1"},
	{dataset.ColImageDigest, "SHA-256 of the encoded image"},
	{dataset.ColImageHash, "64-bit perceptual hash of the image (pHash)"},
	{dataset.ColTextHash, "MinHash signature of the text: up to 64 hashes of word pairs, ascending"},
	{dataset.ColCollectedAt, "when the pair was collected"},
}

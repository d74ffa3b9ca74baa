// Package kmskeys makes the data keys of encrypted sessions with AWS KMS.
package kmskeys

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/ssmresume/ssmresume/datachannel"
)

// size is that of a session's data key, in bytes: half of it for each direction.
const size = 64

type keys struct{ client *kms.Client }

// New returns what Options.DataKeys of a session wants. The caller needs
// kms:GenerateDataKey.
func New(cfg aws.Config) datachannel.DataKeys { return keys{kms.NewFromConfig(cfg)} }

func (k keys) GenerateDataKey(ctx context.Context, keyID string, encryptionContext map[string]string) (plaintext, ciphertext []byte, err error) {
	out, err := k.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId:             aws.String(keyID),
		NumberOfBytes:     aws.Int32(size),
		EncryptionContext: encryptionContext,
	})
	if err != nil {
		return nil, nil, err
	}
	return out.Plaintext, out.CiphertextBlob, nil
}

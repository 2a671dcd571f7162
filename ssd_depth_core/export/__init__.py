"""From a checkpoint to ONNX with its ModelSpec, and the proof that both compute the same."""

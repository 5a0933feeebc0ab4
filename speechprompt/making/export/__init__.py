"""A backbone -> files that run without Python: ONNX graphs and its prompts as they are. Door: `onnx_folder`."""

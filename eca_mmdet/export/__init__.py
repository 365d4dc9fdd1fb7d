"""Export trained models to ONNX, and run exported models. Nothing here is imported until it is used."""

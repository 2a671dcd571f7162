"""The field's figures by condition, and what the field leaves out; NumPy and OpenCV, no torch."""

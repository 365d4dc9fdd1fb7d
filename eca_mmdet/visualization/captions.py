"""Write a caption above an image."""

import cv2
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def add_caption(image: np.ndarray, text: str) -> np.ndarray:
    """Add a white strip with black text above an image.

    The text is made smaller where the image is too narrow for it.

    Args:
        image: The image ``(H, W, 3)``, uint8.
        text: One line of text.

    Returns:
        The image with its caption ``(H + h, W, 3)``, uint8. ``h`` does not depend on the text.
    """
    height, width = image.shape[:2]
    scale = float(np.clip(min(height, width) / 600, 0.45, 1.0))
    strip = np.full((round(36 * scale) + 6, width, 3), 255, np.uint8)
    natural = cv2.getTextSize(text, _FONT, scale, 1)[0][0]
    fitted = min(scale, scale * (width - 8) / natural) if natural else scale
    place = (4, strip.shape[0] - round(12 * scale))
    cv2.putText(strip, text, place, _FONT, fitted, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, image])

"""What a finished video says about itself: credentials, watermark, label, and their reader."""

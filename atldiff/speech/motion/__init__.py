"""Edits of predicted landmarks: lips at rest, bilabials, blinks and head motion."""

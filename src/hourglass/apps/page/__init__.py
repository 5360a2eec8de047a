"""A web page that finds keypoints in the browser."""

"""Pages for a browser: a trained model to draw for, trainings watched live, a playground. Needs the extra `web`.

The server answers one computer unless it is told otherwise, and sends nothing anywhere.
"""

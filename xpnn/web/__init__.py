"""Pages for a browser: a trained model to draw for, trainings watched live, a playground. Needs the extra `web`.

The server answers this computer alone unless `--host` says otherwise, and sends nothing anywhere.
"""

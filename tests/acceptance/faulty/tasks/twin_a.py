from tasker import Task


class Twin(Task):
    def run(self): ...

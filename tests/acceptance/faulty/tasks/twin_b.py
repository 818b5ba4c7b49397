from tasker import Task


class AnotherTwin(Task):
    task_name = "twin"

    def run(self): ...

from jinja2 import Template

print(Template("{{ count }} ships are expected").render(count=10))

"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

// Swagger UI fills every field with its example, and would send them all. What need not be given
// begins empty, and its example stands in its description.
const emptied = (parameter) => {
  if (parameter.required || !parameter.examples) return parameter;
  const { examples, ...rest } = parameter;
  const [example] = Object.values(examples);
  return { ...rest, description: `${parameter.description} For example \`${[example.value].flat().join(", ")}\`.` };
};

const show = async () => {
  const answer = await fetch("{% url 'superoffice_hooks:schema' %}");
  const spec = await answer.json();
  for (const { get } of Object.values(spec.paths)) {
    get.parameters = get.parameters.map(emptied);
  }
  SwaggerUIBundle({
    spec,
    dom_id: "#api",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    docExpansion: "list",
    supportedSubmitMethods: ["get"],
    syntaxHighlight: false,
    validatorUrl: null,
  });
};

show();

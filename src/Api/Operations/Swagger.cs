using System.Text.Json.Nodes;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace Gradus.Api.Operations;

/// <summary>Swagger UI at /swagger, from the notes beside each route.</summary>
internal static class Swagger
{
    public static IServiceCollection AddSwagger(this IServiceCollection services) => services.AddEndpointsApiExplorer().AddSwaggerGen(options =>
    {
        options.SwaggerDoc("v1", new OpenApiInfo
        {
            Title = "Gradus",
            Version = "v1",
            Description = "The DeepSeek-R1 training recipe as a service: POST a stage or a whole recipe, watch its metrics and sampled completions, "
                + "then talk to the model at /v1/chat/completions. Every failure has the shape {\"error\":{\"message\",\"type\",\"param\",\"code\"}}; times are Unix seconds.",
        });
        options.AddSecurityDefinition("key", new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "Only where keys are configured." });
        options.AddSecurityRequirement(document => new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("key", document)] = [] });
        options.CustomSchemaIds(type => SchemaName(type));
        options.SupportNonNullableReferenceTypes();
        options.IncludeXmlComments(typeof(Swagger).Assembly);
        options.OperationFilter<RouteNotesFilter>();
    });

    public static void MapSwagger(this WebApplication app)
    {
        app.UseSwagger();
        app.UseSwaggerUI(options =>
        {
            options.SwaggerEndpoint("/swagger/v1/swagger.json", "Gradus");
            options.DocumentTitle = "Gradus";
            options.EnableTryItOutByDefault();
        });
        app.MapGet("/", () => Results.Redirect("/swagger")).ExcludeFromDescription();
    }

    private static string SchemaName(Type type) =>
        type.Name.Split('`')[0].Replace("Contract", "", StringComparison.Ordinal) + string.Concat(type.GetGenericArguments().Select(SchemaName));
}

/// <summary>Writes a route's notes into its operation.</summary>
internal sealed class RouteNotesFilter : IOperationFilter
{
    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        var metadata = context.ApiDescription.ActionDescriptor.EndpointMetadata;
        if (metadata.OfType<RouteNotes>().FirstOrDefault() is not { } notes) return;
        operation.Tags = new HashSet<OpenApiTagReference> { new(notes.Group, context.Document) };
        operation.Summary = notes.Summary;
        operation.Description = notes.Description;
        operation.Parameters ??= [];
        foreach (var parameter in operation.Parameters.OfType<OpenApiParameter>())
            if (metadata.OfType<PathNotes>().FirstOrDefault(path => path.Name == parameter.Name) is { } path)
                (parameter.Description, parameter.Example) = (path.Description, path.Example.Length == 0 ? null : JsonValue.Create(path.Example));
        foreach (var query in metadata.OfType<QueryParameter>()) operation.Parameters.Add(Parameter(query));
        foreach (var body in metadata.OfType<BodyNotes>())
        {
            operation.RequestBody ??= new OpenApiRequestBody { Required = true, Content = new Dictionary<string, OpenApiMediaType>() };
            operation.RequestBody.Content![body.ContentType] = Body(body, context);
        }
        var error = context.SchemaGenerator.GenerateSchema(typeof(ErrorEnvelope), context.SchemaRepository);
        operation.Responses = new OpenApiResponses();
        foreach (var answer in metadata.OfType<AnswerNotes>())
            operation.Responses[answer.Status.ToString()] = Response("As asked.", answer.ContentType, answer.Type is null ? null : context.SchemaGenerator.GenerateSchema(answer.Type, context.SchemaRepository));
        operation.Responses["default"] = Response("What was wrong, what is allowed and what came.", "application/json", error);
    }

    private static OpenApiMediaType Body(BodyNotes body, OperationFilterContext context) => body switch
    {
        { Type: { } type } => new() { Schema = context.SchemaGenerator.GenerateSchema(type, context.SchemaRepository), Example = JsonNode.Parse(body.Example!) },
        { ContentType: "multipart/form-data" } => new()
        {
            Schema = new OpenApiSchema
            {
                Type = JsonSchemaType.Object,
                Properties = body.Fields.Append("file").ToDictionary(
                    name => name, IOpenApiSchema (name) => new OpenApiSchema { Type = JsonSchemaType.String, Format = name == "file" ? "binary" : null }),
            },
            Example = body.Example is null ? null : new JsonObject { ["name"] = "my file", ["file"] = body.Example },
        },
        { Example: null } => new() { Schema = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" } },
        _ => new() { Schema = new OpenApiSchema { Type = JsonSchemaType.String }, Example = JsonValue.Create(body.Example) },
    };

    private static OpenApiResponse Response(string description, string contentType, IOpenApiSchema? schema) =>
        new() { Description = description, Content = new Dictionary<string, OpenApiMediaType> { [contentType] = new OpenApiMediaType { Schema = schema } } };

    private static OpenApiParameter Parameter(QueryParameter query)
    {
        var schema = query.Schema;
        return new OpenApiParameter
        {
            Name = query.Name,
            In = ParameterLocation.Query,
            Description = query.Description,
            Schema = new OpenApiSchema
            {
                Type = schema["type"]!.GetValue<string>() == "integer" ? JsonSchemaType.Integer : JsonSchemaType.String,
                Minimum = schema["minimum"]?.ToString(),
                Maximum = schema["maximum"]?.ToString(),
                MaxLength = (int?)schema["maxLength"],
                Enum = schema["enum"]?.AsArray().Select(word => word!.DeepClone()).ToList(),
                Default = schema["default"]?.DeepClone(),
            },
        };
    }
}

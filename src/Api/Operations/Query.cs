using System.Globalization;
using System.Text.Json.Nodes;
using Gradus.Training;

namespace Gradus.Api.Operations;

/// <summary>One query parameter: its documentation and how to read it stand in one place, so that Swagger cannot say something else than the code.</summary>
internal abstract class QueryParameter(string name, string description)
{
    public string Name { get; } = name;

    public string Description { get; } = description;

    /// <summary>The JSON schema for Swagger.</summary>
    public abstract JsonObject Schema { get; }

    protected string? Text(HttpContext context)
    {
        var values = context.Request.Query[Name];
        if (values.Count > 1) throw new InvalidInputException($"The query parameter '{Name}' came {values.Count} times; once is allowed.", Name, "invalid_value");
        return values.Count == 0 ? null : values[0] ?? "";
    }
}

/// <summary>An integer within bounds.</summary>
internal sealed class IntegerQuery(string name, int? standard, int low, int high, string description) : QueryParameter(name, description)
{
    public override JsonObject Schema => new() { ["type"] = "integer", ["minimum"] = low, ["maximum"] = high, ["default"] = standard };

    public int? ReadOrNull(HttpContext context)
    {
        if (Text(context) is not { } text) return standard;
        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= low && number <= high) return number;
        throw new InvalidInputException($"The query parameter '{Name}' must be an integer from {low} to {high}; '{Shown(text)}' came.", Name, "out_of_range");
    }

    public int Read(HttpContext context) => ReadOrNull(context)!.Value;

    private static string Shown(string text) => text.Length <= 40 ? text : text[..40] + "...";
}

/// <summary>One of a few words.</summary>
internal sealed class ChoiceQuery(string name, string? standard, string[] allowed, string description) : QueryParameter(name, description)
{
    public override JsonObject Schema => new() { ["type"] = "string", ["enum"] = new JsonArray([.. allowed.Select(word => (JsonNode)word)]), ["default"] = standard };

    public string? Read(HttpContext context)
    {
        var text = Text(context) ?? standard;
        return text is null || allowed.Contains(text) ? text
            : throw new InvalidInputException($"The query parameter '{Name}' must be one of {string.Join(", ", allowed)}; '{text}' came.", Name, "unknown_value");
    }
}

/// <summary>A text of bounded length.</summary>
internal sealed class TextQuery(string name, int longest, string description) : QueryParameter(name, description)
{
    public override JsonObject Schema => new() { ["type"] = "string", ["maxLength"] = longest };

    public string? Read(HttpContext context)
    {
        var text = Text(context);
        if (text is null || (text.Length <= longest && !text.Contains('\0', StringComparison.Ordinal))) return text;
        throw new InvalidInputException($"The query parameter '{Name}' must be a text of at most {longest} characters without U+0000.", Name, "invalid_value");
    }
}

/// <summary>Refuses query parameters that a route does not have, by name; a misspelt filter must not look like an empty answer.</summary>
internal sealed class QueryCheck(RequestDelegate next)
{
    public Task InvokeAsync(HttpContext context)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<RouteNotes>() is null) return next(context);
        var known = context.GetEndpoint()!.Metadata.GetOrderedMetadata<QueryParameter>();
        foreach (var name in context.Request.Query.Keys)
            if (!known.Any(parameter => parameter.Name == name))
                throw new InvalidInputException($"Unknown query parameter '{name}'; {(known.Count == 0 ? "this route has none" : $"allowed are {string.Join(", ", known.Select(parameter => parameter.Name))}")}.", name, "unknown_parameter");
        return next(context);
    }
}

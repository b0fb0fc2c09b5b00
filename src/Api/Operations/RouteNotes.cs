namespace Gradus.Api.Operations;

/// <summary>What Swagger says of a route.</summary>
internal sealed record RouteNotes(string Group, string Summary, string Description);

/// <summary>A body that a route takes. The example works when sent as it is (held by a test).</summary>
/// <param name="Type">The contract; null for a file.</param>
/// <param name="Example">Null for bytes, which have none.</param>
internal sealed record BodyNotes(string ContentType, Type? Type, string? Example)
{
    /// <summary>The fields of a form that come before its file.</summary>
    public IReadOnlyList<string> Fields { get; init; } = ["name"];
}

/// <summary>What a route answers with.</summary>
internal sealed record AnswerNotes(int Status, Type? Type, string ContentType);

/// <summary>An example for a part of the path.</summary>
internal sealed record PathNotes(string Name, string Description, string Example);

/// <summary>Says beside each route what it is, takes and answers.</summary>
internal static class RouteNotesExtensions
{
    /// <summary>A download: GET, and HEAD with the same headers and no body.</summary>
    public static RouteHandlerBuilder MapDownload(this WebApplication app, string path, Delegate handler)
    {
        app.MapMethods(path, [HttpMethods.Head], handler).ExcludeFromDescription();
        return app.MapGet(path, handler);
    }

    public static RouteHandlerBuilder Describe(this RouteHandlerBuilder route, string group, string summary, string description) =>
        route.WithMetadata(new RouteNotes(group, summary, description));

    public static RouteHandlerBuilder Takes<T>(this RouteHandlerBuilder route, string example) => route.WithMetadata(new BodyNotes("application/json", typeof(T), example));

    public static RouteHandlerBuilder TakesFile(this RouteHandlerBuilder route, string contentType, string example) => route.WithMetadata(new BodyNotes(contentType, null, example));

    /// <param name="fields">Of a form, before its file.</param>
    public static RouteHandlerBuilder TakesBytes(this RouteHandlerBuilder route, string contentType, params string[] fields) => route.WithMetadata(new BodyNotes(contentType, null, null) { Fields = fields });

    public static RouteHandlerBuilder Returns<T>(this RouteHandlerBuilder route, int status, string contentType = "application/json") =>
        route.WithMetadata(new AnswerNotes(status, typeof(T), contentType));

    public static RouteHandlerBuilder WithQuery(this RouteHandlerBuilder route, params QueryParameter[] parameters) => route.WithMetadata([.. parameters]);

    public static RouteHandlerBuilder WithPath(this RouteHandlerBuilder route, string name, string description, string example) =>
        route.WithMetadata(new PathNotes(name, description, example));
}

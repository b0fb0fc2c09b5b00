namespace Gradus.Api.Operations;

/// <summary>The one shape of every failure.</summary>
internal sealed record ErrorEnvelope(ErrorDetail Error);

/// <param name="Message">What was wrong, what is allowed and what came.</param>
/// <param name="Type"><c>invalid_request_error</c>, <c>authentication_error</c>, <c>permission_error</c>, <c>rate_limit_error</c> or <c>server_error</c>.</param>
/// <param name="Param">The field or parameter, as a path (<c>stages[1].options.num_generations</c>); null where there is no one place.</param>
/// <param name="Code">A word for programs: <c>unknown_field</c>, <c>out_of_range</c>, <c>not_found</c>, <c>rate_limited</c>, ...</param>
/// <param name="Lines">The wrong lines of an upload, the first ones; absent elsewhere.</param>
internal sealed record ErrorDetail(
    string Message, string Type, string? Param, string? Code,
    [property: System.Text.Json.Serialization.JsonIgnore(Condition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<LineError>? Lines = null);

/// <summary>One wrong line of an upload.</summary>
/// <param name="Line">Its number, from 1.</param>
/// <param name="Message">What is wrong with it.</param>
internal sealed record LineError(long Line, string Message);

/// <summary>A request that fails with this status and this detail. Wrong values in a body are <see cref="Gradus.Training.InvalidInputException"/> (400) instead.</summary>
internal sealed class ApiException(int status, string message, string? param = null, string? code = null, IReadOnlyList<LineError>? lines = null) : Exception(message)
{
    public int Status { get; } = status;

    public string? Param { get; } = param;

    public string? Code { get; } = code;

    public IReadOnlyList<LineError>? Lines { get; } = lines;

    /// <summary>Seconds for the header Retry-After; null for none.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>404: there is no such object.</summary>
    public static ApiException NotFound(string what, string id) => new(StatusCodes.Status404NotFound, $"There is no {what} '{id}'.", "id", "not_found");

    /// <summary>409: the object is not in a state that allows it.</summary>
    public static ApiException Conflict(string message, string code = "conflict") => new(StatusCodes.Status409Conflict, message, "id", code);
}

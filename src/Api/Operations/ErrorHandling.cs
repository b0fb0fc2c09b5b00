using System.Text.Json;
using Gradus.Persistence;
using Gradus.Training;
using Npgsql;

namespace Gradus.Api.Operations;

/// <summary>Turns every failure into the one envelope: exceptions, and bare status codes of the framework (404, 405, ...). A 500 tells nothing of the inside.</summary>
internal sealed class ErrorHandling(RequestDelegate next, GradusSettings settings, ILogger<ErrorHandling> log)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
            var response = context.Response;
            // A refused range has the headers of the file, and no body.
            if (response.StatusCode >= 400 && !response.HasStarted && (response.StatusCode == 416 || (response.ContentLength is null && response.ContentType is null)))
                await WriteAsync(context, response.StatusCode, Bare(context));
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client went away; nobody reads an answer.
        }
        catch (Exception problem)
        {
            if (context.Response.HasStarted)
            {
                log.LogError(problem, "An answer broke off: {Method} {Path}", context.Request.Method, context.Request.Path);
                context.Abort();
                return;
            }
            var (status, detail) = Describe(problem, context);
            if (status == 503) log.LogWarning("A request was turned away: {Method} {Path} {Reason}", context.Request.Method, context.Request.Path, problem.GetBaseException().Message);
            else if (status >= 500) log.LogError(problem, "A request failed: {Method} {Path} {Status} {TraceId}", context.Request.Method, context.Request.Path, status, context.TraceIdentifier);
            if (problem is ApiException { RetryAfter: { } seconds }) context.Response.Headers.RetryAfter = seconds.ToString();
            await WriteAsync(context, status, detail);
        }
    }

    private (int Status, ErrorDetail Detail) Describe(Exception problem, HttpContext context) => problem switch
    {
        ApiException known => (known.Status, new(known.Message, Type(known.Status), known.Param, known.Code, known.Lines)),
        InvalidInputException wrong => (400, new(wrong.Message, Type(400), wrong.Parameter, wrong.Code)),
        UnknownCursorException cursor => (400, new(cursor.Message, Type(400), "after", "invalid_cursor")),
        BadHttpRequestException { StatusCode: 413 } => (413, new($"The body is larger than {Limit(context):N0} bytes, the most that this route takes.", Type(413), null, "too_large")),
        BadHttpRequestException bad => (bad.StatusCode, new(bad.Message, Type(bad.StatusCode), null, "invalid_request")),
        // EF Core wraps it once, sometimes.
        NpgsqlException { IsTransient: true } or { InnerException: NpgsqlException { IsTransient: true } } => (503, new("The database cannot be reached just now; try again.", Type(503), null, "database_unavailable")),
        _ => (500, new($"Something failed inside. The log has it under {context.TraceIdentifier}.", Type(500), null, "internal")),
    };

    private long Limit(HttpContext context) =>
        context.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize ?? settings.MaxJsonBytes;

    private static ErrorDetail Bare(HttpContext context)
    {
        var (request, status) = (context.Request, context.Response.StatusCode);
        return status switch
        {
            404 => new($"There is no route {request.Method} {request.Path}. /swagger shows those there are.", Type(404), null, "unknown_route"),
            405 => new($"{request.Path} does not take {request.Method}; it takes {context.Response.Headers.Allow}.", Type(405), null, "method_not_allowed"),
            416 => new("The header Range asks for bytes that there are not; Content-Range says how many there are.", Type(416), "Range", "out_of_range"),
            _ => new($"The request failed with status {status}.", Type(status), null, null),
        };
    }

    private static string Type(int status) => status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };

    private static Task WriteAsync(HttpContext context, int status, ErrorDetail detail)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json; charset=utf-8";
        context.Response.ContentLength = null;
        return context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(new ErrorEnvelope(detail), Wire.Options)).AsTask();
    }
}

using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace Gradus.Api.Operations;

/// <summary>
/// Who may call, and how often. Without keys only this machine may, and a Host or Origin that is not ours is refused (a page on the web could
/// otherwise reach us by way of the browser); with keys each call shows one. Health, Swagger and the front page are open.
/// </summary>
internal sealed class RequestGuard(RequestDelegate next, GradusSettings settings, RateLimit limit)
{
    // Only hashes stay in memory; comparing takes the same time whichever key it is.
    private readonly byte[][] hashes = [.. settings.Keys.Select(key => SHA256.HashData(Encoding.UTF8.GetBytes(key)))];

    public Task InvokeAsync(HttpContext context)
    {
        var request = context.Request;
        if (hashes.Length == 0) RefuseForeign(request);
        if (request.Path == "/" || request.Path.StartsWithSegments("/healthz") || request.Path.StartsWithSegments("/swagger")) return next(context);
        var key = hashes.Length == 0 ? -1 : Find(request.Headers.Authorization.ToString());
        if (limit.TakeOrWait(key >= 0 ? $"key {key}" : $"address {context.Connection.RemoteIpAddress}") is { } seconds)
            throw new ApiException(429, $"More than {settings.RequestsPerSecond} requests a second; try again in {seconds} s.", null, "rate_limited") { RetryAfter = seconds };
        if (hashes.Length > 0 && key < 0)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
            throw new ApiException(401, "A key is needed: send the header \"Authorization: Bearer KEY\" with a key that this service knows.", null, "invalid_api_key");
        }
        return next(context);
    }

    private int Find(string header)
    {
        const string Scheme = "Bearer ";
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) return -1;
        var presented = SHA256.HashData(Encoding.UTF8.GetBytes(header[Scheme.Length..].Trim()));
        var found = -1;
        for (var i = 0; i < hashes.Length; i++)
            if (CryptographicOperations.FixedTimeEquals(presented, hashes[i])) found = i;
        return found;
    }

    private static void RefuseForeign(HttpRequest request)
    {
        var host = request.Host;
        if (!IsLoopback(host.Host))
            throw new ApiException(403, $"The Host '{host}' is not this machine. Without keys only localhost is served; set Gradus:Keys to serve others.", "Host", "foreign_host");
        var origin = request.Headers.Origin.ToString();
        if (origin.Length > 0 && !(Uri.TryCreate(origin, UriKind.Absolute, out var from) && string.Equals(from.Authority, host.Value, StringComparison.OrdinalIgnoreCase)))
            throw new ApiException(403, $"The Origin '{origin}' is not this service's own. Without keys only its own pages may call it; set Gradus:Keys to serve others.", "Origin", "foreign_origin");
    }

    private static bool IsLoopback(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}

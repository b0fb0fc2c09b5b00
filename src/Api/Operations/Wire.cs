using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Gradus.Api.Operations;

/// <summary>How JSON looks on the wire: snake_case names, nulls written, text readable (no escapes beyond JSON's own).</summary>
internal static class Wire
{
    public static JsonSerializerOptions Options { get; } = Configure(new JsonSerializerOptions(JsonSerializerDefaults.Web));

    public static JsonSerializerOptions Configure(JsonSerializerOptions options)
    {
        options.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
        options.PropertyNameCaseInsensitive = false;
        options.NumberHandling = JsonNumberHandling.Strict;
        options.Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;
        options.RespectRequiredConstructorParameters = true;
        options.RespectNullableAnnotations = true;
        options.TypeInfoResolver ??= new DefaultJsonTypeInfoResolver();
        options.MaxDepth = JsonBody.MaxDepth + 8;
        return options;
    }

    /// <summary>Unix seconds, as every time in an answer is.</summary>
    public static long Seconds(DateTimeOffset time) => time.ToUnixTimeSeconds();

    public static long? Seconds(DateTimeOffset? time) => time?.ToUnixTimeSeconds();
}

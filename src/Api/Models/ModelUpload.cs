using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;
using Microsoft.AspNetCore.Http.Features;

namespace Gradus.Api.Models;

/// <summary>Takes a model as it is uploaded: a tar of its files or one GGUF, as the body or as the file of a form. It is unpacked as it comes; nothing is kept twice.</summary>
internal sealed partial class ModelUpload(ModelImport import, GradusSettings settings)
{
    public const string Tar = "application/x-tar", Bytes = "application/octet-stream", Multipart = "multipart/form-data";

    /// <param name="wanted">The name and the SHA-256 of the query; a form may have them as fields.</param>
    public async Task<Model> TakeAsync(HttpContext context, UploadFields wanted)
    {
        // What is kept is bounded file by file; headers, padding and files that are left out come on top.
        context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = settings.MaxModelBytes + (64L << 20);
        if (JsonBody.RequireType(context.Request, Tar, Bytes, Multipart) != Multipart) return await TakeAsync(context.Request.Body, wanted, context.RequestAborted);
        Model? made = null;
        await foreach (var part in FormParts.ReadAsync(context))
        {
            switch (part.Name)
            {
                case "name" when made is null: wanted = wanted with { Name = await part.TextAsync() }; break;
                case "base" when made is null: wanted = wanted with { Base = await part.TextAsync() }; break;
                case "sha256" when made is null: wanted = wanted with { Sha256 = await part.TextAsync() }; break;
                case "file" when made is null: made = await TakeAsync(part.Content, wanted with { Name = wanted.Name ?? part.FileName }, context.RequestAborted); break;
                default: throw new InvalidInputException($"The form has the part '{part.Name}' where it may not be; expected are 'name', 'base' and 'sha256', then 'file', once each.", part.Name, "unknown_field");
            }
        }
        return made ?? throw new InvalidInputException("The form has no part 'file'.", "file", "missing");
    }

    private Task<Model> TakeAsync(Stream body, UploadFields wanted, CancellationToken cancel)
    {
        if (wanted.Sha256 is { } text && !Hash().IsMatch(text)) throw new InvalidInputException("'sha256' must be the 64 hexadecimal digits of the upload's SHA-256.", "sha256");
        return import.RunAsync(wanted.Name ?? "imported", wanted.Base, async files =>
        {
            using var upload = new UploadStream(body);
            var isGguf = await upload.IsGgufAsync(cancel);
            if (isGguf) await files.TakeAsync("model.gguf", null, upload, cancel);
            else await UnpackAsync(new TarEntries(upload), files, cancel);
            var hash = await upload.HashAsync(cancel);
            if (wanted.Sha256 is { } expected && !hash.Equals(expected, StringComparison.OrdinalIgnoreCase))
                throw new InvalidInputException($"The upload's SHA-256 is {hash}, not {expected.ToLowerInvariant()}: it was damaged on its way. Nothing was kept.", "sha256", "hash_mismatch");
            return new JsonObject { ["kind"] = "upload", ["sha256"] = hash };
        }, cancel);
    }

    /// <summary>A model's files stand at the archive's top or in one folder of it; what lies deeper, or has other names, is left out.</summary>
    private static async Task UnpackAsync(TarEntries tar, ImportedFiles files, CancellationToken cancel)
    {
        string? top = null;
        while (await tar.NextAsync(cancel) is { } entry)
        {
            var folders = top is { Length: > 0 } && entry.Folders is [var outer, ..] && outer == top ? entry.Folders.Skip(1).ToArray() : [.. entry.Folders];
            var name = string.Join('/', [.. folders, entry.Name]);
            if (top is null && folders is [var folder] && ImportedFiles.IsKnown(entry.Name)) (top, name) = (folder, entry.Name);
            else if (ImportedFiles.IsKnown(name)) top ??= "";
            if (!ImportedFiles.IsKnown(name)) files.Skip(entry.Folders.Count <= 1 ? entry.Name : "");
            else if (top?.Length > 0 && entry.Folders.Count == 0) throw new InvalidInputException($"The archive has a model's files in the folder '{top}' and '{entry.Name}' outside of it; send one model's files in one folder.", "file", "invalid_archive");
            else await files.TakeAsync(name, entry.Size, tar.Content, cancel);
        }
    }

    [GeneratedRegex("^[0-9A-Fa-f]{64}$", RegexOptions.CultureInvariant)]
    private static partial Regex Hash();
}

/// <param name="Sha256">Of the upload's bytes; null where the caller gives none.</param>
/// <param name="Base">Of an adapter: the model it is laid on.</param>
internal sealed record UploadFields(string? Name, string? Sha256, string? Base);

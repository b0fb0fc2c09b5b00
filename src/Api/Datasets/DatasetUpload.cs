using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;
using Microsoft.AspNetCore.Http.Features;

namespace Gradus.Api.Datasets;

/// <summary>
/// Takes a dataset in each of its three ways: rows in JSON, a JSONL body, or a multipart form with a file. The upload waits in a file until its last line
/// was found good; only then anything is stored, in one transaction.
/// </summary>
internal sealed class DatasetUpload(DatasetStore datasets, GradusSettings settings, StateFolders folders)
{
    public const string Jsonl = "application/jsonl", Multipart = "multipart/form-data", Json = "application/json";

    public async Task<Dataset> TakeAsync(HttpContext context, string? name)
    {
        switch (JsonBody.RequireType(context.Request, Json, Jsonl, "application/x-ndjson", Multipart))
        {
            case Json:
                if (name is not null) throw new InvalidInputException("The name stands in the body here, not in the query.", "name", "invalid_value");
                return await TakeRowsAsync(await JsonBody.ReadAsync<DatasetRequest>(context), context.RequestAborted);
            case Multipart:
                Allow(context);
                return await TakeFormAsync(context, name);
            default:
                Allow(context);
                return await SpoolAsync(context.Request.Body, () => name, null, context.RequestAborted);
        }
    }

    private async Task<Dataset> TakeRowsAsync(DatasetRequest request, CancellationToken cancel)
    {
        var name = Checked(request.Name);
        if (request.Rows.ValueKind != JsonValueKind.Array || request.Rows.GetArrayLength() == 0) throw new InvalidInputException("'rows' must be a list of objects, not empty.", "rows", "invalid_type");
        if (request.Rows.GetArrayLength() > settings.MaxDatasetRows) throw new InvalidInputException($"'rows' has more than {settings.MaxDatasetRows:N0} rows.", "rows", "out_of_range");
        var map = request.Map is { ValueKind: not JsonValueKind.Null } template ? RowMap.Of(template) : null;
        var check = new RowCheck(map);
        var errors = request.Rows.EnumerateArray().Select((row, index) => (Line: index + 1L, Wrong: check.Wrong(row, index + 1))).Where(row => row.Wrong is not null)
            .Take(settings.MaxReportedLines).Select(row => new LineError(row.Line, row.Wrong!)).ToList();
        Require(errors, "rows");
        return await datasets.CreateAsync(name, request.Rows.EnumerateArray().Select(row => (map?.Apply(row) ?? row).GetRawText()), null, cancel);
    }

    private async Task<Dataset> TakeFormAsync(HttpContext context, string? name)
    {
        Dataset? made = null;
        RowMap? map = null;
        await foreach (var part in FormParts.ReadAsync(context))
        {
            if (part.Name == "name" && made is null) name = Checked(await part.TextAsync());
            else if (part.Name == "map" && map is null && made is null) map = RowMap.Parse(await part.TextAsync());
            else if (part.Name == "file" && made is null) made = await SpoolAsync(part.Content, () => name ?? part.FileName, map, context.RequestAborted);
            else throw new InvalidInputException($"The form has the part '{part.Name}' where it may not be; expected are 'name' and 'map', then 'file', once each.", part.Name, "unknown_field");
        }
        return made ?? throw new InvalidInputException("The form has no part 'file'.", "file", "missing");
    }

    private async Task<Dataset> SpoolAsync(Stream source, Func<string?> name, RowMap? map, CancellationToken cancel)
    {
        var called = Checked(name() ?? throw new InvalidInputException("'name' is missing: send it in the query, or in the form before the file.", "name", "missing"));
        Directory.CreateDirectory(folders.Uploads);
        var file = Path.Combine(folders.Uploads, Identifier.New("upload"));
        // Deleted when it is closed, however this ends; what a killed process left is deleted at the next start.
        await using var copy = new FileStream(file, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete, 64 << 10, FileOptions.DeleteOnClose | FileOptions.Asynchronous);
        var lines = new JsonlReader(settings, map);
        await lines.ReadAsync(source, copy, settings.MaxUploadBytes, cancel);
        Require(lines.Errors, "file");
        if (lines.Rows == 0) throw new InvalidInputException("The file has no rows.", "file", "missing");
        await copy.FlushAsync(cancel);
        copy.Position = 0;
        return await datasets.CreateAsync(called, lines.RowsOf(file), copy, cancel);
    }

    private static void Require(IReadOnlyList<LineError> errors, string param)
    {
        if (errors.Count == 0) return;
        var more = errors.Count == 1 ? "" : $" ({errors.Count} wrong lines are listed in 'lines')";
        throw new ApiException(400, $"Line {errors[0].Line}: {errors[0].Message} Nothing was stored{more}.", param, "invalid_rows", errors);
    }

    private static string Checked(string name) => name.Trim().Length > 0 && name.Length <= 200 && !name.Any(char.IsControl) ? name
        : throw new InvalidInputException("'name' must be a text of 1 to 200 characters without control characters.", "name");

    // The form's own lines come on top of the file's bytes.
    private void Allow(HttpContext context) => context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = settings.MaxUploadBytes + (64 << 10);
}
